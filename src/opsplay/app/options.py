"""Where a command works, how it is narrowed, and who listens; and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opsplay.app.presence import Presence
from opsplay.core.errors import ExitStatus
from opsplay.core.event import Event, Listener, Progress
from opsplay.engine.plan import Plan
from opsplay.engine.tools import Stop
from opsplay.kit.clock import Clock, SystemClock


def _silent(_event: Event) -> None:
    pass


def _no_progress(_site: str, _what: str, _done: float, _total: float) -> None:
    pass


def _agree(_plan: Plan) -> bool:
    return True


@dataclass(frozen=True)
class Options:
    """What every use case is told."""

    inventory: Path = Path("inventory")
    state: Path = Path(".opsplay")
    journal: str = ""
    """A `postgresql://` URL; empty for a file in `state`."""
    limit: str = ""
    tags: tuple[str, ...] = ()
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    listener: Listener = _silent
    progress: Progress = _no_progress
    confirm: Callable[[Plan], bool] = _agree
    """Asked before the first change of a run; False ends it with nothing done."""
    forks: int = 0
    """Sites at work at the same time; 0: as the playbook says."""
    stop: Stop = field(default_factory=Stop)
    clock: Clock = field(default_factory=SystemClock)
    any_hour: bool = False
    """Whether stages begin outside of their windows too; journalled."""
    presence: Presence | None = None
    """The worker that this is done for; a command of its own makes itself known where it must."""
    slot: str = ""
    """Moment of a schedule that this run is for (`NAME@TIME`); started once on each site."""

    @property
    def journal_at(self) -> str | Path:
        """Return where the journal is."""
        return self.journal or self.state / "journal.db"


@dataclass(frozen=True)
class CheckResult:
    """What a run would change."""

    plan: Plan
    exit_status: ExitStatus


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `events`: all of the run's, those before a resume included."""

    run: str
    exit_status: ExitStatus
    events: Sequence[Event]
    round_trips: Mapping[str, int] = field(default_factory=dict)
    """Host → round trips of the whole run."""
