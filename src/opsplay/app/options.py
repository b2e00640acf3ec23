"""Where a command works, how it is narrowed, and who listens; and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opsplay.core.errors import ExitStatus
from opsplay.core.event import Event, Listener, Progress
from opsplay.engine.plan import Plan
from opsplay.engine.tools import Stop


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
    limit: str = ""
    tags: tuple[str, ...] = ()
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    listener: Listener = _silent
    progress: Progress = _no_progress
    confirm: Callable[[Plan], bool] = _agree
    """Asked before the first change of a run; False ends it with nothing done."""
    stop: Stop = field(default_factory=Stop)


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
    events: tuple[Event, ...]
    round_trips: Mapping[str, int] = field(default_factory=dict)
    """Host → round trips of the whole run."""
