"""The closed set of things the engine can do. Plain data: journalled before it is done.

One engine file performs them (`opsplay.engine.perform`), with a `match` that the type checker
proves complete. Scripts are POSIX sh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeAlias, get_args

from opsplay.kit.secret import Secret


@dataclass(frozen=True)
class Shell:
    """Run a script detached on the host of the environment; it survives a cut line.

    The script sees `$OPSPLAY_RUN_DIR`, a directory of this run, site and environment under
    `~/.opsplay` (restore points live there), and `secrets` as environment variables, which reach
    it by standard input and never touch the disk.
    """

    script: str
    timeout: float = 3600.0
    """Seconds after which the script's process group is ended."""
    secrets: Mapping[str, Secret] = field(default_factory=lambda: MappingProxyType({}))
    unless: str = ""
    """A script that only looks: where it succeeds at the act's turn, there is nothing to do."""


@dataclass(frozen=True)
class Write:
    """Put a text into a file on the host: temporary name, then rename.

    What was there before is kept on the host, below `$OPSPLAY_RUN_DIR/before`.
    """

    path: str
    content: str
    mode: int = 0o644

    @property
    def kept(self) -> str:
        """Return the name under which `$OPSPLAY_RUN_DIR/before` keeps what this replaces.

        `NAME` is the file that was there; an empty `NAME.absent` says that there was none.
        """
        text = f"{self.path}\0{self.mode:o}\0{self.content}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """Take a snapshot of the environment into the site's vault."""

    include: tuple[str, ...] = ("database", "files")
    exclude: tuple[str, ...] = ()
    """Paths below the root that are left out."""
    label: str = ""
    full: bool = False
    """Save every file anew, not only what changed since the last snapshot of the month."""


@dataclass(frozen=True)
class Restore:
    """Bring a snapshot back from the vault into the environment."""

    snapshot: str
    include: tuple[str, ...] = ("database", "files")
    paths: tuple[str, ...] = ()
    """Only these files or directories, relative to the root; empty: all of it."""


@dataclass(frozen=True)
class Clone:
    """Copy files and database of another environment of the site into this one, then make it safe.

    `source` names the environment copied from. `finish` is a script that runs on this
    environment's host when the copy is complete (URL rewriting, no mail, no index).
    """

    source: str
    finish: str


@dataclass(frozen=True)
class Page:
    """What one page must look like. Times are seconds."""

    path: str
    status: int = 200
    contains: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    redirects_to: str = ""
    max_seconds: float = 10.0


@dataclass(frozen=True)
class Visit:
    """Look at pages over HTTP(S) and at the PHP error log; changes nothing."""

    pages: tuple[Page, ...]
    compare_with: str = "production"
    """Environment whose pages, as seen before the stage, are the yardstick; empty: none."""
    tls_days: int = 14
    """A certificate must stay valid at least this many days (https only)."""
    error_log: bool = True
    settle_seconds: float = 0.0
    """Longest time to wait for caches (OPcache) to let go of old code."""


@dataclass(frozen=True)
class UndoRun:
    """Undo the changes of an earlier run on this environment, newest first."""

    run: str


@dataclass(frozen=True)
class Await:
    """Go on only when somebody has agreed to what the later stages will change."""

    by: str
    within: float
    """Seconds after the asking in which they may answer."""
    note: str = ""


@dataclass(frozen=True)
class Drill:
    """Restore a snapshot to a scratch environment, prove that it works, certify it, clear it away.

    Nothing of production is asked or changed.
    """

    snapshot: str
    """`last`: the newest good one."""
    pages: tuple[str, ...] = ("/",)
    contains: tuple[str, ...] = ()
    """Texts that the first page must show."""
    give_up_after: float = 43200.0
    """Seconds after which the drill is ended."""


@dataclass(frozen=True)
class Erase:
    """Carry out requests of the ledger of erasures in the environment's database.

    Only their names are here: whom they mean stands in the ledger, encrypted, and nowhere else.
    """

    requests: tuple[str, ...]


@dataclass(frozen=True)
class Verify:
    """Verify the site's backups in its vault; the site itself is asked at level 3 alone."""

    level: int
    """As in `core.verdict`."""
    sample: int = 100
    """Per cent of the inherited packs that level 2 looks into."""


@dataclass(frozen=True)
class Expire:
    """Take away the site's backups whose time is over, with the credential that may delete."""


Action: TypeAlias = (
    Shell
    | Write
    | Store
    | Restore
    | Clone
    | Visit
    | UndoRun
    | Await
    | Drill
    | Erase
    | Verify
    | Expire
)

_ACTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {kind.__name__: kind for kind in get_args(Action)}
)


def to_data(action: Action) -> dict[str, Any]:
    """Return the action as JSON-ready data; secrets appear as their references only."""
    return {"action": type(action).__name__} | {
        one.name: _plain(getattr(action, one.name)) for one in fields(action)
    }


def _plain(value: Any) -> Any:
    match value:
        case Secret():
            return {"secret": value.reference}
        case Page():
            return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def from_data(data: Mapping[str, Any]) -> Action:
    """Return the action that `to_data` made `data` of. Actions with secrets do not come back."""
    settings = {key: _tuples(value) for key, value in data.items() if key != "action"}
    if settings.get("secrets"):
        msg = "an action with secrets cannot be made from the journal"
        raise ValueError(msg)
    if data["action"] == "Visit":
        settings["pages"] = tuple(Page(**page) for page in settings["pages"])
    action: Action = _ACTIONS[data["action"]](**settings)
    return action


def _tuples(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _tuples(item) for key, item in value.items()}
        case list():
            return tuple(_tuples(item) for item in value)
        case _:
            return value
