"""What the engine acts through: handed in by `app`, so that the engine joins nothing concrete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from opsplay.core.environment import Host
from opsplay.core.errors import Interrupted
from opsplay.core.event import Event, EventKind, Progress
from opsplay.core.playbook import Declaration, Playbook
from opsplay.core.site import Site
from opsplay.core.step import Step
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.kit.clock import Clock


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


class Stop:
    """A request to stop: the first is kind (after the current act), the second is at once."""

    def __init__(self) -> None:
        self._kind = threading.Event()
        self._at_once = threading.Event()

    def request(self) -> bool:
        """Ask to stop; return whether this was the second time."""
        if self._kind.is_set():
            self._at_once.set()
        self._kind.set()
        return self._at_once.is_set()

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
            raise Interrupted("stopped on request")


@dataclass(frozen=True)
class Tools:
    """Everything concrete, in one hand."""

    record: Record
    clock: Clock
    transport: Callable[[Host], Transport]
    vault: Callable[[str], tuple[Vault, VaultSettings]]
    """Vault name → opened vault and its settings."""
    language: Language
    events: Callable[[str], tuple[Event, ...]]
    """Run → its events so far."""
    last_change: Callable[[str, str, str], str]
    """(site, environment, run) → the last run but `run` whose changes stand there."""
    progress: Progress
    learn: Callable[..., None]
    """Told every secret value before it is used, so that it can be masked everywhere."""
    stop: Stop = field(default_factory=Stop)
    concurrency: int = 16
    """Sites at work at the same time."""
    segment_bytes: int = 16 * 1024 * 1024
    """Size of one upload of a backup stream, which is also the spool on the host."""
