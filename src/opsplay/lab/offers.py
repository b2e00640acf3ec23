"""What the update source offers: a small JSON file that tests may change, and pure answers from it.

The answers have the shape of the real api.wordpress.org (core/version-check 1.7,
plugins/update-check 1.1, themes/update-check 1.1, plugins/info 1.2), as far as WordPress and
WP-CLI read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opsplay.lab.parts import NEW, Parts


@dataclass(frozen=True)
class Offers:
    """Versions on offer; a plugin version may carry a suffix (`1.2.0-fatal`) that names its file."""

    core: tuple[str, ...] = ()
    plugins: Mapping[str, str] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Write the offers where the source reads them; the next request sees them."""
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1))
        new.replace(file)


def default(parts: Parts) -> Offers:
    """Return the offers of a fresh lab: the next WordPress, and both plugins' good updates."""
    plugins = {"akismet": parts.akismet_versions()[1], "lab-shop": "1.1.0"}
    return Offers(core=(NEW,), plugins=plugins)


def load(file: Path) -> Offers:
    """Return the offers in the file."""
    data = json.loads(file.read_text())
    return Offers(tuple(data["core"]), data["plugins"])


def core_answer(offers: Offers, asking: str, base: str) -> dict[str, Any]:
    """Return the answer to a site that runs core version `asking`."""
    newer = [version for version in offers.core if _order(version) > _order(asking)]
    found = [_core_offer(version, "upgrade", base) for version in reversed(newer)]
    return {"offers": found or [_core_offer(asking, "latest", base)], "translations": []}


def plugins_answer(offers: Offers, installed: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Return the answer to a site with these plugins (by main file, as WordPress sends them)."""
    plugins: dict[str, Any] = {}
    current: dict[str, Any] = {}
    for file, facts in installed.items():
        slug = file.partition("/")[0]
        if slug in offers.plugins:
            newer = _order(_plain(offers.plugins[slug])) > _order(facts["Version"])
            (plugins if newer else current)[file] = _plugin_offer(slug, file, offers, base)
    return {"plugins": plugins, "no_update": current, "translations": []}


def plugin_answer(offers: Offers, slug: str, base: str) -> dict[str, Any] | None:
    """Return what is known of one plugin, None when nothing is."""
    if slug not in offers.plugins:
        return None
    version = offers.plugins[slug]
    return {
        "name": slug,
        "slug": slug,
        "version": _plain(version),
        "download_link": f"{base}/plugin/{slug}-{version}.zip",
        "requires": "6.0",
        "tested": "6.9",
        "requires_php": "7.4",
        "sections": {},
    }


def _core_offer(version: str, response: str, base: str) -> dict[str, Any]:
    package = f"{base}/release/wordpress-{version}.zip"
    return {
        "response": response,
        "download": package,
        "locale": "en_US",
        "packages": {
            "full": package,
            "no_content": False,
            "new_bundled": False,
            "partial": False,
            "rollback": False,
        },
        "current": version,
        "version": version,
        "php_version": "7.0.0",
        "mysql_version": "5.0",
        "new_bundled": "6.4",
        "partial_version": False,
    }


def _plugin_offer(slug: str, file: str, offers: Offers, base: str) -> dict[str, Any]:
    version = offers.plugins[slug]
    return {
        "id": f"w.org/plugins/{slug}",
        "slug": slug,
        "plugin": file,
        "new_version": _plain(version),
        "url": f"{base}/plugins/{slug}/",
        "package": f"{base}/plugin/{slug}-{version}.zip",
        "icons": {},
        "banners": {},
        "banners_rtl": {},
        "requires": "6.0",
        "tested": "6.9",
        "requires_php": "7.4",
        "requires_plugins": [],
    }


def _plain(version: str) -> str:
    return version.partition("-")[0]


def _order(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.replace("-", ".").split(".")]
