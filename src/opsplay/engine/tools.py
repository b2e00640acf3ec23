"""What the engine acts through: handed in by `app`, so that the engine joins nothing concrete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from opsplay.core.certificate import Certificate
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import Interrupted
from opsplay.core.event import Event, EventKind, Progress
from opsplay.core.playbook import Declaration, Playbook
from opsplay.core.site import Site
from opsplay.core.step import Step
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.kit.clock import Clock

if TYPE_CHECKING:
    from opsplay.engine.signature import Signer
    from opsplay.engine.store_last import Indexes
    from opsplay.engine.upkeep import Upkeep


class Language(Protocol):
    """What the engine needs of the language: templates become steps and truth values."""

    def scope(
        self, playbook: Playbook, site: Site, registered: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the names that templates may use for one site."""
        ...

    def build_step(self, declaration: Declaration, scope: Mapping[str, Any]) -> Step[Any]:
        """Return the step of a declaration. Raises InvalidInput with the place in the file."""
        ...

    def is_true(self, when: str, scope: Mapping[str, Any]) -> bool:
        """Return whether a `when` expression holds. Raises InvalidInput."""
        ...


class Record(Protocol):
    """The part of the journal the engine writes to."""

    def append(
        self, run: str, kind: EventKind, site: str = "", data: Mapping[str, Any] | None = None
    ) -> Event:
        """Write one event and return it once it is on disk."""
        ...

    def append_all(
        self, run: str, entries: Sequence[tuple[EventKind, str, Mapping[str, Any]]]
    ) -> tuple[Event, ...]:
        """Write (kind, site, data) each in one transaction, all or none; return the events."""
        ...


class Past(Protocol):
    """The part of the journal the engine reads."""

    def __call__(self, run: str, /, *, site: str = "") -> tuple[Event, ...]:
        """Return the events of a run so far; `site`: only what concerns this one."""
        ...


class Stop:
    """A request to stop: the first is kind (after the current act), the second is at once."""

    def __init__(self) -> None:
        self._kind = threading.Event()
        self._at_once = threading.Event()
        self._killing = threading.Event()
        self._handing = threading.Event()
        self._acts: dict[int, Callable[[], object]] = {}
        self.cancelled_by = ""
        """Who cancelled the run; empty while nobody did."""

    def request(self) -> bool:
        """Ask to stop; return whether this was the second time."""
        if self._kind.is_set():
            self._at_once.set()
        self._kind.set()
        return self._at_once.is_set()

    def cancel(self, who: str, *, now: bool = False) -> None:
        """Ask to stop after the current act and to take the stage back; `now`: end that act."""
        self.cancelled_by = who
        self._kind.set()
        if now and not self._killing.is_set():
            self._killing.set()
            for end in list(self._acts.values()):
                end()

    @contextmanager
    def ending(self, end: Callable[[], object]) -> Iterator[None]:
        """Have `end` called when acts are to be ended on their hosts while the block runs."""
        self._acts[id(end)] = end
        if self.killing:
            end()
        try:
            yield
        finally:
            del self._acts[id(end)]

    def hand_over(self, *, at_once: bool = False) -> None:
        """Ask to leave the run as it is after the current act: another process goes on with it.

        `at_once`: not even that act is waited for.
        """
        self._handing.set()
        if at_once:
            self._at_once.set()
        self._kind.set()

    @property
    def handing_over(self) -> bool:
        """Return whether another process is to go on with the run."""
        return self._handing.is_set()

    @property
    def killing(self) -> bool:
        """Return whether the act under way is to be ended on its host."""
        return self._killing.is_set()

    @property
    def requested(self) -> bool:
        """Return whether anybody asked to stop."""
        return self._kind.is_set()

    @property
    def at_once(self) -> bool:
        """Return whether not even the current act may be waited for."""
        return self._at_once.is_set()

    def check(self) -> None:
        """Raise Interrupted when somebody asked to stop."""
        if self.requested:
            by = f"cancelled by {self.cancelled_by}" if self.cancelled_by else ""
            raise Interrupted(by or "stopped on request")


class Scratch(Protocol):
    """A place to restore to, with an empty database of its own, for as long as a drill takes."""

    @property
    def environment(self) -> Environment:
        """Return where it is; it is called `drill`."""
        ...

    @property
    def transport(self) -> Transport:
        """Return the way to run scripts there."""
        ...

    @property
    def access(self) -> tuple[str, str, str, str]:
        """Return the database's name, user, password and host."""
        ...

    @property
    def isolated(self) -> bool:
        """Return whether what is restored there has no network at all."""
        ...


@dataclass(frozen=True)
class Tools:
    """Everything concrete, in one hand."""

    record: Record
    clock: Clock
    transport: Callable[[Host], Transport]
    vault: Callable[[str], tuple[Vault, VaultSettings]]
    """Vault name → opened vault and its settings."""
    language: Language
    events: Past
    last_change: Callable[[str, str, str], str]
    """(site, environment, run) → the last run but `run` whose changes stand there."""
    progress: Progress
    learn: Callable[..., None]
    """Told every secret value before it is used, so that it can be masked everywhere."""
    stop: Stop = field(default_factory=Stop)
    concurrency: int = 0
    """Sites at work at the same time; 0: as the playbook says, or `runner.FORKS`."""
    segment_bytes: int = 16 * 1024 * 1024
    """Size of one upload of a backup stream, which is also the spool on the host."""
    any_hour: bool = False
    """Whether somebody said that windows do not matter this time."""
    epoch: int = 0
    """Sequence of the event by which this process began or resumed the run; see Fenced."""
    indexes: Indexes | None = None
    """Where the last indexes of files are kept; None: nowhere but in the vault."""
    signer: Callable[[VaultSettings], Signer] | None = None
    """Vault → what signs the manifests stored there; None: they are not signed."""
    scratch: Callable[[str], AbstractContextManager[Scratch]] | None = None
    """Site → a scratch environment on this machine, for a drill; None: there is none."""
    certify: Callable[[Certificate, bytes, bytes], str] = lambda *_: ""
    """Keeps a certificate (its text, its signature) where people find it; returns where."""
    trusted: Callable[[VaultSettings], tuple[str, ...]] = lambda _settings: ()
    """Vault → public keys whose signatures count; empty: none is asked for."""
    upkeep: Callable[[Site], Upkeep] | None = None
    """Site → what verifies its backups and takes them away; None: backups are not kept here."""
