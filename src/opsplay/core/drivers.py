"""What a CMS driver must offer. A driver writes scripts and reads answers; it never runs anything.

A driver is one file in `opsplay.cms` with one class marked `@driver("name")`; it is found by
itself. Facts about the real CMS, with their traps, stand in the driver's own docstrings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar

from opsplay.core.environment import Environment
from opsplay.core.errors import InvalidInput
from opsplay.core.query import Query


@dataclass(frozen=True)
class Offer:
    """A newer version that the update source offers."""

    version: str
    package: str
    """URL of the package; empty when the source offers the version without a download."""
    size: Literal["minor", "major"] = "minor"


@dataclass(frozen=True)
class Module:
    """A plugin, theme or extension. `name` is the machine name (slug)."""

    name: str
    version: str
    active: bool = True
    title: str = ""
    offer: Offer | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of an installation, read in one go and without changing it."""

    version: str
    """As the files say."""
    database_version: str
    """Schema version as the database says; equals `wanted_database_version` when migrated."""
    wanted_database_version: str
    modules: tuple[Module, ...]
    offers: tuple[Offer, ...]
    """Newer core versions, oldest first."""
    source_error: str = ""
    """Why the update source could not be asked; empty when it answered. `offers` proves nothing
    unless this is empty."""
    boot_error: str = ""
    """Why the CMS does not boot on the command line; empty when it does."""
    php_version: str = ""
    withheld: tuple[str, ...] = ()
    """Newer versions that are no offer here, each with the reason: `WordPress 6.8 needs PHP 8.3`."""
    unfinished: Mapping[str, Offer] = field(default_factory=lambda: MappingProxyType({}))
    """Updates that were begun and never finished, by key (`core`, `module:akismet`): which version
    from which package. The files may be a mixture, whatever version they say."""


@dataclass(frozen=True)
class LogPosition:
    """Where PHP's error log ends now."""

    path: str
    """Empty when no log was found."""
    bytes: int


@dataclass(frozen=True)
class DatabaseAccess:
    """A database for a scratch environment, and what the site was where it comes from."""

    name: str
    user: str
    password: str
    host: str
    """`localhost:/path/of/socket`, or `host:port`."""
    old_url: str
    """Address of the site that was saved."""
    old_root: str
    """Its directory there."""


class Driver(Protocol):
    """One CMS, bound to one environment.

    Methods that return `str` return POSIX sh scripts which change things: each MUST be safe to run
    again, MUST end with a non-zero status unless it has read back what it did, and MUST not need
    the CMS to boot where its docstring says so. `$OPSPLAY_RUN_DIR` is set (see `Shell`).
    """

    environment: Environment
    title: str
    """What the CMS is called: `WordPress`."""
    module_word: str
    """What its modules are called: `plugin`."""
    fatal_signs: tuple[str, ...]
    """Texts that mean a broken page, whatever the status code."""
    configuration: tuple[str, ...]
    """Files below the root that hold the access to the database, and differ in each environment."""

    def facts(self) -> Query[Facts]:
        """Ask for versions, modules and offers; leaves the database as it was."""
        ...

    def update_core(self, version: str, package: str) -> str:
        """Bring core to exactly `version`, migrate the database, keep maintenance mode on if on.

        `#sha256=HEX` behind the package's address says which bytes are meant: others are refused.
        The script prints `package PATH sha256 HEX` of what it used. Empty: migrate only.
        """
        ...

    def update_module(self, name: str, version: str, package: str) -> str:
        """Bring one module to exactly `version`, keep maintenance mode on if it was on.

        About the package see `update_core`; here it may not be empty.
        """
        ...

    def maintenance(self) -> Query[bool]:
        """Ask whether visitors are kept out now; needs no boot."""
        ...

    def close_to_visitors(self, pass_sha256: str) -> str:
        """Keep visitors out until `open_to_visitors`; whoever sends the pass gets in. No boot.

        The pass travels in the header `X-Opsplay-Pass`; the host knows its SHA-256 only.
        """
        ...

    def open_to_visitors(self) -> str:
        """Let visitors in again; no boot."""
        ...

    def save_restore_point(self) -> str:
        """Save code and database into `$OPSPLAY_RUN_DIR/restore-point`; once complete, a no-op."""
        ...

    def put_back(self) -> str:
        """Bring code and database back from the restore point; needs no boot, may run twice."""
        ...

    def put_back_core(self) -> str:
        """Bring only the core's files back from the restore point; needs no boot."""
        ...

    def put_back_module(self, name: str) -> str:
        """Bring only one module's files back from the restore point; needs no boot."""
        ...

    def dump_database(self) -> str:
        """Write a consistent SQL dump to standard output; no boot.

        A dump that fails ends with another status than 0, and without the dump's own last line;
        whoever reads it looks for both.
        """
        ...

    def load_database(self) -> str:
        """Replace the site's tables by the SQL on standard input; no boot."""
        ...

    def apply_sql(self) -> str:
        """Run the SQL on standard input in the site's database, ending at the first error; no boot.

        Prints the rows of its answers, columns separated by tabs, without headings.
        """
        ...

    def pack_files(self, exclude: Iterable[str] = ()) -> str:
        """Write a tar archive of the root to standard output. No boot.

        Paths in the archive are relative to the root, starting with `./`.
        """
        ...

    def files_left_out(self, exclude: Iterable[str] = ()) -> str:
        """Print what a backup leaves out, one shell pattern a line, like `./wp-content/cache`.

        A pattern is anchored at the root, and stands for all below it too; `*` matches `/` as well.
        """
        ...

    def unpack_files(self, *, keep_configuration: bool = False, fill: str = "") -> str:
        """Replace the root's files by the tar archive on standard input; no boot.

        Files that the archive does not hold are removed. `keep_configuration`: leave the CMS's own
        configuration file (database access) as it is on this environment. `fill`: shell text that
        makes the empty directory `$new` the new site, in place of the archive; when the new site
        stands, the same text is run with the site as it was in `$old`, which it keeps or removes.
        Each time in a subshell; in the first, `old` is empty.
        """
        ...

    def make_clone_safe(self, source_url: str) -> str:
        """After a copy: rewrite URLs from `source_url`, keep mail and search engines out."""
        ...

    def clone_marks(self) -> Query[bool]:
        """Ask whether this environment is a safe clone (mail dead, not indexed)."""
        ...

    def error_log(self) -> Query[LogPosition]:
        """Ask where PHP's error log is and how long."""
        ...

    def watermarks(self) -> Query[Mapping[str, str]]:
        """Ask how far the site is; no boot.

        `orders`, `last_order_id`, `last_order_at`, `customers`, `users`, `posts`, `last_post_id`,
        `last_post_at`, `comments`, as far as the site has them, and `rows:TABLE` for every table.
        Times are ISO 8601, in UTC.
        """
        ...

    def use_database(self, access: DatabaseAccess) -> str:
        """Make the site's own configuration, as restored, fit a scratch environment; no boot.

        It names that database from now on, and no old address nor directory of the site; the CMS
        may call nobody.
        """
        ...

    def clear_away(self) -> str:
        """Remove the site's files and tables, and leave its configuration; refuses on production.

        No boot. Safe where there is nothing.
        """
        ...


_DRIVERS: dict[str, Callable[[Environment], Driver]] = {}
C = TypeVar("C", bound=type)


def driver(name: str) -> Callable[[C], C]:
    """Register a driver class under the name that the inventory's `cms:` uses."""

    def register(cls: C) -> C:
        _DRIVERS[name] = cls
        return cls

    return register


def driver_names() -> tuple[str, ...]:
    """Return the names of all known drivers, sorted."""
    return tuple(sorted(_DRIVERS))


def driver_for(name: str) -> Callable[[Environment], Driver]:
    """Return the driver class of a CMS. Raises InvalidInput for a name nobody registered."""
    if name not in _DRIVERS:
        raise InvalidInput(f"no driver for the CMS {name!r} (known: {', '.join(driver_names())})")
    return _DRIVERS[name]
