"""WordPress, through WP-CLI and POSIX sh.

The scripts and the PHP that they carry are the `*.sh` and `*.php` files beside this one; each says
what it is for and which trap it avoids. Modules are named by their slug: `akismet` is a plugin,
`theme:twentytwentyfour` a theme. Two ways lead to the database: real WP-CLI commands where
WordPress knows best (its own updates, rewriting of serialized values), and `wp-config.php` read
without starting WordPress everywhere else, so that a broken site can be saved and put back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from opsplay.cms.wordpress.answers import read_closed, read_facts, read_log, read_safe
from opsplay.cms.wordpress.scripts import php, script
from opsplay.core.drivers import Facts, LogPosition, driver
from opsplay.core.environment import Environment
from opsplay.core.query import Query

_CODE_PLACES = {"plugin": "plugins", "theme": "themes"}


@driver("wordpress")
@dataclass(frozen=True)
class WordPress:
    """One WordPress installation (single or multisite) with `wp-content` below its root."""

    environment: Environment
    title: ClassVar[str] = "WordPress"
    module_word: ClassVar[str] = "plugin"
    fatal_signs: ClassVar[tuple[str, ...]] = (
        "There has been a critical error on this website",
        "Error establishing a database connection",
        "Fatal error:",
        "Parse error:",
        "Briefly unavailable for scheduled maintenance",
    )

    def facts(self) -> Query[Facts]:
        """Ask for versions, modules and offers in one boot, inside a read-only session.

        The update source is always asked anew: WordPress itself says "up to date" when
        api.wordpress.org does not answer.
        """
        here = self.environment
        return Query(_facts_script(), read_facts, (here.root, here.url))

    def update_core(self, version: str, package: str) -> str:
        """Bring core to exactly `version` with `wp core update`, then migrate the database.

        With an empty `package` and files that are at `version` already, only the database is
        migrated. A killed run is begun again from the whole package. `#sha256=HEX` behind the
        package's address says which bytes it must be.
        """
        return self._script(
            "database",
            "package",
            "update_core",
            before="find_php\nfind_wp_cli",
            database_php=php("database"),
            version=version,
            package=package,
        )

    def update_module(self, name: str, version: str, package: str) -> str:
        """Bring one plugin or theme to exactly `version` with `wp plugin|theme update`."""
        kind, slug = _kind_and_slug(name)
        return self._script(
            "package",
            "update_module",
            before="find_php\nfind_wp_cli",
            offer_php=php("offer"),
            version=version,
            package=package,
            kind=kind,
            name=slug,
            what=f"{kind} {slug}",
        )

    def maintenance(self) -> Query[bool]:
        """Ask whether visitors are kept out by us, or by core within its ten minutes."""
        return Query(self._script("door", after="tell_door"), read_closed)

    def close_to_visitors(self, pass_sha256: str) -> str:
        """Write `.maintenance` that never expires, and a must-use plugin for when it is deleted.

        With the pass, the header `X-Opsplay-Reset: 1` empties OPcache before the page is made: new
        code is served at once.
        """
        door = php("door").replace("@pass_sha256@", pass_sha256)
        return self._script("door", after="write_door", door_php=door)

    def open_to_visitors(self) -> str:
        """Remove both, and a `.maintenance` that a killed update left."""
        return self._script("door", after="remove_door")

    def save_restore_point(self) -> str:
        """Save code (all but uploads, caches and foreign installations) and database."""
        return self._database_script("files", "restore_point", after="save_restore_point")

    def put_back(self) -> str:
        """Bring code and database back; what appeared since is removed, uploads are left alone."""
        after = "put_back_code .\nremove_newer 1\nput_back_database"
        return self._put_back(after, marks='"$site_mark".*')

    def put_back_core(self) -> str:
        """Bring everything outside `wp-content` and `wp-config.php` back, and remove newer files."""
        after = (
            "put_back_code --exclude=./wp-content --exclude=./wp-config.php .\n"
            "remove_newer '/^(wp-admin|wp-includes)(\\/|$)/ || !/\\//'"
        )
        return self._put_back(after, marks='"$site_mark.core"')

    def put_back_module(self, name: str) -> str:
        """Bring one plugin or theme back, or remove it if it was not there."""
        kind, slug = _kind_and_slug(name)
        return self._script(
            "files",
            "package",
            "restore_point",
            "put_back_module",
            kind=kind,
            name=slug,
            place=f"wp-content/{_CODE_PLACES[kind]}/{slug}",
        )

    def dump_database(self) -> str:
        """Write a consistent dump of the site's own tables to standard output."""
        return self._database_script(after="find_client\ndump")

    def load_database(self) -> str:
        """Replace the site's tables by the dump on standard input.

        Refuses a dump of another environment if both name the same tables: a staging copy must
        never overwrite production because its `wp-config.php` was copied along.
        """
        return self._database_script(after="find_client\nload")

    def pack_files(self, exclude: Iterable[str] = ()) -> str:
        """Write a tar of the root to standard output, without caches and foreign installations."""
        patterns = "\n".join(f"./{path.removeprefix('./').strip('/')}" for path in exclude)
        return self._script("files", after='pack "$patterns"', patterns=patterns)

    def unpack_files(self, *, keep_configuration: bool = False) -> str:
        """Replace the root by the tar on standard input, by renaming where the host allows it."""
        keep = "yes" if keep_configuration else "no"
        return self._script("package", "unpack", keep_configuration=keep)

    def make_clone_safe(self, source_url: str) -> str:
        """Kill mail, cron, payments and indexing, rewrite every address, and look at it again."""
        return self._script(
            "database",
            "clone",
            before="find_php\nfind_wp_cli",
            after=(
                "write_staging_plugin\ntry_mark_configuration\nrewrite_all\n"
                "wp_bare option update blog_public 0 </dev/null >/dev/null\nmail_is_dead\n"
                '[ "$(tell_clone_marks)" = safe ] || fail "the clone does not bear its marks"'
            ),
            database_php=php("database", "clone"),
            staging_php=php("staging"),
            source_url=source_url.rstrip("/"),
        )

    def clone_marks(self) -> Query[bool]:
        """Ask whether mail is dead and search engines are told to stay away; no boot."""
        body = self._database_script("clone", after="tell_clone_marks", staging_php=php("staging"))
        return Query(body, read_safe)

    def error_log(self) -> Query[LogPosition]:
        """Ask for the inventory's log, WP_DEBUG_LOG, `debug.log`, `error_log` or php.ini's."""
        body = self._database_script("error_log", error_log=self.environment.error_log)
        return Query(body, read_log)

    def _put_back(self, after: str, marks: str) -> str:
        return self._database_script(
            "files",
            "package",
            "restore_point",
            after=f"{after}\nkeep_closed\nrm -f {marks}",
        )

    def _database_script(self, *parts: str, after: str = "", **values: str) -> str:
        return self._script(
            "database",
            *parts,
            before="find_php",
            after=after,
            database_php=php("database"),
            **values,
        )

    def _script(self, *parts: str, before: str = "", after: str = "", **values: str) -> str:
        here = self.environment
        values = {"root": here.root, "url": here.url, "environment": here.name} | values
        return script(parts, values, before=before, after=after)


@cache
def _facts_script() -> str:
    """Return one script for all installations: it is sent, and kept, once for many of them."""
    body = script(
        ("package", "facts"),
        {
            "guard_php": php("guard"),
            "facts_php": php("facts"),
            "files_php": php("database", "files"),
        },
        before="find_php\nfind_wp_cli",
    )
    # The prelude needs to know the root.
    return f"while [ $# -ge 2 ]; do (\nroot=$1 url=$2\n{body})\nanswered $?; shift 2; done\n"


def _kind_and_slug(name: str) -> tuple[str, str]:
    if name.startswith("theme:"):
        return "theme", name.removeprefix("theme:")
    return "plugin", name
