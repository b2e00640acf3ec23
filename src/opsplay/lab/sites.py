"""The WordPress sites: built once, kept in the cache as they were, laid out again in a second.

The pristine copy is kept without `wp-config.php` and the network plugin, which belong to one lab.
Addresses have five-digit ports in every lab, so that another lab's address has the same length
and may be put in its place even inside serialized values.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
import zipfile
from pathlib import Path

from opsplay.lab import database, hosts, packages
from opsplay.lab.commands import run
from opsplay.lab.packages import Progress
from opsplay.lab.parts import OLD, Parts
from opsplay.lab.places import LabEnvironment, Places

_PHP = Path(__file__).parent / "php"
_OWN = ("/wp-config.php", "/wp-content/mu-plugins/lab-network.php")
_BESIDE = ("logs", "mail", "switches")


def pristine(places: Places, parts: Parts, site: str, progress: Progress) -> Path:
    """Return the directory with the site's pristine copy; builds it where the cache has none.

    Building uses the site's production environment, whatever is there.
    """
    kept = packages.cache() / "pristine" / _recipe(parts) / site
    with packages.locked(packages.cache() / "pristine.lock"):
        if not kept.exists():
            progress(f"building the site {site}")
            _build(places, parts, places.environment(site, "production"))
            _keep(places, places.environment(site, "production"), kept)
    return kept


def lay_out(places: Places, site: str, kept: Path) -> None:
    """Make both environments pristine: production with all content, staging empty."""
    for one in places.environments(site):
        database.empty(places, one)
        if one.name == "production":
            _clear(one, sparing="htdocs")
            _copy(kept / "htdocs", one.root)
            old = json.loads((kept / "facts.json").read_text())["address"]
            dump = (kept / "database.sql").read_bytes()
            database.load(places, one, dump.replace(old.encode(), _address(one).encode()))
            _write_network(places, one)
        else:
            _clear(one)
        _write_config(places, one)


def wp(places: Places, environment: LabEnvironment, *words: str) -> str:
    """Return what WP-CLI said, run as on the environment's host."""
    tool = places.home(environment.host) / "bin" / "wp"
    variables = hosts.environment(places, environment.host)
    return run(tool, f"--path={environment.root}", *words, env=variables).decode()


def _recipe(parts: Parts) -> str:
    """Return a name that changes whenever the pristine copies must be built anew."""
    files = sorted((*_PHP.glob("*.php"), Path(__file__)))
    digest = hashlib.sha256(repr((OLD, parts.akismet_versions())).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _build(places: Places, parts: Parts, one: LabEnvironment) -> None:
    _clear(one)
    database.empty(places, one)
    with zipfile.ZipFile(parts.wordpress(OLD)) as archive:
        archive.extractall(one.home)
    one.root.rmdir()
    (one.home / "wordpress").rename(one.root)
    for name, version in (("akismet", parts.akismet_versions()[0]), ("lab-shop", "1.0.0")):
        with zipfile.ZipFile(parts.plugin(name, version)) as archive:
            archive.extractall(one.root / "wp-content" / "plugins")
    _write_config(places, one)
    _write_network(places, one)
    _install(places, one)


def _install(places: Places, one: LabEnvironment) -> None:
    settings = [
        f"--url={one.url}",
        f"--title=The lab's {one.site}",
        "--admin_user=keeper",
        f"--admin_password={secrets.token_hex(8)}",
        f"--admin_email=keeper@{one.site}.example",
    ]
    wp(places, one, "core", "install", *settings, "--skip-email")
    wp(places, one, "eval-file", str(_PHP / "seed.php"), one.site)


def _keep(places: Places, one: LabEnvironment, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        _copy(one.root, new / "htdocs")
        (new / "database.sql").write_bytes(database.dump(places, one))
        (new / "facts.json").write_text(json.dumps({"address": _address(one)}))
        new.rename(kept)


def _clear(one: LabEnvironment, sparing: str = "") -> None:
    """Leave empty directories only, beside what is spared."""
    one.home.mkdir(parents=True, exist_ok=True)
    for left in one.home.iterdir():
        if left.name != sparing:
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    for name in ("htdocs", *_BESIDE):
        (one.home / name).mkdir(exist_ok=True)


def _copy(tree: Path, target: Path) -> None:
    """Make `target` equal to `tree`, by content: equal size and time prove nothing."""
    left_out = [f"--exclude={path}" for path in _OWN]
    run("rsync", "-a", "--checksum", "--delete", *left_out, f"{tree}/", f"{target}/")


def _write(file: Path, text: str, mode: int = 0o644) -> None:
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
    file.chmod(mode)


def _address(one: LabEnvironment) -> str:
    return f"127.0.0.1:{one.port}"


def _write_network(places: Places, one: LabEnvironment) -> None:
    plugin = one.root / "wp-content" / "mu-plugins" / "lab-network.php"
    plugin.parent.mkdir(exist_ok=True)
    text = (_PHP / "lab-network.php").read_text()
    _write(plugin, text.replace("{{source}}", places.source_url))


def _write_config(places: Places, one: LabEnvironment) -> None:
    kinds = ("AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE")
    names = [f"{kind}_{end}" for end in ("KEY", "SALT") for kind in kinds]
    constants = {
        "DB_NAME": one.database,
        "DB_USER": one.database,
        "DB_PASSWORD": database.password(places, one),
        "DB_HOST": f"127.0.0.1:{places.port('database')}",
        "DB_CHARSET": "utf8mb4",
        "DB_COLLATE": "",
        **{name: _salt(places, one, name) for name in names},
    }
    lines = [f"define( '{name}', {database.quoted(value)} );" for name, value in constants.items()]
    text = _CONFIG.replace("{{constants}}", "\n".join(lines))
    _write(one.root / "wp-config.php", text, 0o640)


def _salt(places: Places, one: LabEnvironment, name: str) -> str:
    seed = f"{database.password(places, one)}{one.key}{name}"
    return hashlib.sha256(seed.encode()).hexdigest()


_CONFIG = """<?php
{{constants}}

$table_prefix = 'wp_';

define( 'WP_DEBUG', false );
define( 'DISABLE_WP_CRON', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'WP_ACCESSIBLE_HOSTS', '127.0.0.1' );

if ( ! defined( 'ABSPATH' ) ) {
\tdefine( 'ABSPATH', __DIR__ . '/' );
}

require_once ABSPATH . 'wp-settings.php';
"""
