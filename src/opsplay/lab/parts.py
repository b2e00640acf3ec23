"""What the lab makes of the packages: wp-cli, WordPress and plugin archives, kept in the cache.

The PHP of WordPress 6.4 and 6.5 comes from a build for browsers whose comments are stripped, its
static files lie beside it; together they are a complete core. Akismet in two versions comes from
Debian's wordpress package (old) and from the bundled WordPress of the studio package (new).
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from opsplay.lab import packages
from opsplay.lab.packages import Progress

OLD, NEW = "6.4.5", "6.5.5"
SHOP_VERSIONS = ("1.0.0", "1.1.0", "1.2.0-fatal", "1.3.0")

_BUILDS = "@wp-playground/wordpress-builds@0.9.19"
_SERIES = ("6.4", "6.5")
_STUDIO = "wp-studio@1.22.0"
_BUNDLE = "dist/cli/wp-files"
_LEFT_OUT = ("wp-content/database", "wp-content/plugins/sqlite-database-integration")
_THEMES = ("twentytwentyfour",)
_PHP = Path(__file__).parent / "php"


@dataclass(frozen=True)
class Parts:
    """Where the parts are."""

    directory: Path

    @property
    def wp_cli(self) -> Path:
        return self.directory / "wp-cli.phar"

    def wordpress(self, version: str) -> Path:
        """Return the archive of one WordPress version."""
        return self.directory / f"wordpress-{version}.zip"

    def plugin(self, name: str, version: str) -> Path:
        """Return the archive of one plugin version."""
        return self.directory / f"{name}-{version}.zip"

    def akismet_versions(self) -> tuple[str, str]:
        """Return the older and the newer version of Akismet."""
        found = [file.stem.removeprefix("akismet-") for file in self.directory.glob("akismet-*")]
        old, new = sorted(found, key=lambda version: [int(part) for part in version.split(".")])
        return old, new


def gather(progress: Progress) -> Parts:
    """Return the parts; fetches and builds what the cache does not hold."""
    place = packages.cache() / "parts-1"
    with packages.locked(packages.cache() / "parts.lock"):
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            _build(Parts(place), progress)
            (place / "complete").touch()
        for version in SHOP_VERSIONS:
            _zip_shop(place / f"lab-shop-{version}.zip", version)
    return Parts(place)


def _build(parts: Parts, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=parts.directory) as scratch:
        work = Path(scratch)
        progress("fetching wp-cli, WordPress 7.1 and Akismet")
        bundled = (f"{_BUNDLE}/wp-cli", f"{_BUNDLE}/latest/wordpress")
        studio = packages.npm_archive(_STUDIO, work / "studio", bundled)
        shutil.copy(studio / _BUNDLE / "wp-cli" / "wp-cli.phar", parts.wp_cli)
        latest = studio / _BUNDLE / "latest" / "wordpress"
        _zip_akismet(parts, latest / "wp-content" / "plugins" / "akismet")
        _zip_wordpress(parts, latest)
        debian = packages.debian_archive("wordpress", work / "debian")
        _zip_akismet(parts, debian / "usr/share/wordpress/wp-content/plugins/akismet")
        progress("fetching WordPress 6.4 and 6.5")
        code = [f"src/wordpress/wp-{one}.zip" for one in _SERIES]
        static = [f"public/wp-{one}" for one in _SERIES]
        builds = packages.npm_archive(_BUILDS, work / "builds", (*code, *static))
        for one in _SERIES:
            core = builds / "public" / f"wp-{one}"
            shutil.unpack_archive(builds / "src" / "wordpress" / f"wp-{one}.zip", core)
            _zip_wordpress(parts, core)


def _zip_wordpress(parts: Parts, core: Path) -> None:
    for name in ("wp-config.php", ".default_theme", "wordpress-remote-asset-paths"):
        (core / name).unlink(missing_ok=True)
    for path in _LEFT_OUT:
        shutil.rmtree(core / path, ignore_errors=True)
    for plugin in (core / "wp-content" / "plugins").glob("*/"):
        shutil.rmtree(plugin)
    for theme in (core / "wp-content" / "themes").glob("*/"):
        if theme.name not in _THEMES:
            shutil.rmtree(theme)
    version = found(r"\$wp_version = '([^']+)'", core / "wp-includes" / "version.php")
    _zip(parts.wordpress(version), core, "wordpress")


def _zip_akismet(parts: Parts, plugin: Path) -> None:
    _zip(
        parts.plugin("akismet", found(r"Version: (\S+)", plugin / "akismet.php")), plugin, "akismet"
    )


def _zip_shop(target: Path, version: str) -> None:
    text = (_PHP / "lab-shop.php").read_text().replace("{{version}}", version.partition("-")[0])
    condition = {
        "1.2.0-fatal": "true",
        "1.3.0": "file_exists(dirname(ABSPATH) . '/switches/fatal')",
    }
    text = text.replace("{{dies}}", condition.get(version, "false"))
    new = target.with_suffix(".new")
    with zipfile.ZipFile(new, "w") as archive:
        archive.writestr(zipfile.ZipInfo("lab-shop/lab-shop.php", (2024, 1, 1, 0, 0, 0)), text)
        archive.writestr(
            zipfile.ZipInfo("lab-shop/readme.txt", (2024, 1, 1, 0, 0, 0)),
            f"=== Lab Shop ===\nStable tag: {version.partition('-')[0]}\n",
        )
    new.replace(target)


def _zip(target: Path, tree: Path, top: str) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(tree.rglob("*")):
            if file.is_file():
                archive.write(file, f"{top}/{file.relative_to(tree)}")


def found(pattern: str, file: Path) -> str:
    """Return what the pattern's first group matches in the file, "" when it does not."""
    match = re.search(pattern, file.read_text(errors="replace"))
    return match[1] if match else ""
