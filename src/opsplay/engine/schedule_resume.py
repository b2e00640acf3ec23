"""Which runs a tick takes up again: those cut short, and those that need not wait any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsplay.core.errors import ExitStatus
from opsplay.core.event import Event
from opsplay.engine.waits import waiting_run

MOST_TRIES = 3
"""How often a run that is cut short each time is taken up; then a person has to look."""
PAUSE = timedelta(minutes=10)
"""Before a run that another one kept out, or that could not reach its host, is tried again;
doubles each time, and is given up after a day."""
_GIVEN_UP = timedelta(days=1)
_CUT = "cut short"
_LATER = {ExitStatus.LOCKED: "locked before", ExitStatus.UNREACHABLE: "unreachable before"}


@dataclass(frozen=True)
class Resumable:
    """A run to take up again, and why; `given_up`: it was tried often enough."""

    run: str
    why: str
    sites: tuple[str, ...]
    given_up: bool = False

    @property
    def cut_short(self) -> bool:
        """Return whether its process died in the middle of it."""
        return self.why == _CUT


@dataclass
class _Course:
    """One run between its beginning and its last word."""

    run: str
    sites: tuple[str, ...]
    slot: str
    driver: str
    """`user@machine` of the process that carried it out last."""
    began: datetime
    tries: int = 0
    """How often it was resumed since it last came to an end."""
    ends: list[Event] = field(default_factory=list)
    open_: bool = True
    submitted: bool = False
    """Whether workers look after it: then no tick does."""
    events: list[Event] = field(default_factory=list)
    """Those that say what it waits for."""


def resumable(events: Iterable[Event], now: datetime, machine: str) -> tuple[Resumable, ...]:
    """Return the runs to go on with, oldest first.

    `machine`: only of runs whose process was on this one can it be known that it is dead (empty:
    of all). Whether it is still at work there, the lock of its sites says.
    """
    found = (_judged(course, now, machine) for course in _courses(events))
    return tuple(one for one in found if one is not None)


def _courses(events: Iterable[Event]) -> Iterator[_Course]:
    known: dict[str, _Course] = {}
    for event in events:
        if event.kind == "run_started":
            data = event.data
            sites, who = tuple(data.get("sites", ())), str(data.get("user", ""))
            course = _Course(event.run, sites, str(data.get("slot", "")), who, event.at)
            course.submitted = bool(data.get("submitted"))
            known[event.run] = course
        elif event.run in known:
            _note(known[event.run], event)
    return iter(known.values())


def _note(course: _Course, event: Event) -> None:
    match event.kind:
        case "run_resumed":
            course.tries = course.tries + 1 if course.open_ else 1
            course.driver, course.open_ = str(event.data.get("user", "")), True
        case "run_finished":
            course.ends.append(event)
            course.open_ = False
        case _:
            course.events.append(event)


def _judged(course: _Course, now: datetime, machine: str) -> Resumable | None:
    if course.submitted:
        return None
    if course.open_:
        if machine and course.driver.rpartition("@")[2] != machine:
            return None
        return Resumable(course.run, _CUT, course.sites, course.tries >= MOST_TRIES)
    status = ExitStatus(int(course.ends[-1].data["exit_status"]))
    wait = waiting_run(course.run, course.events, now)
    why = "need not wait any more" if wait is not None and wait.ready else ""
    if wait is None and status in _LATER and _is_time(course, now):
        why = _LATER[status]
    return Resumable(course.run, why, course.sites) if why else None


def _is_time(course: _Course, now: datetime) -> bool:
    """Return whether a scheduled run is tried again: nobody else would."""
    last = course.ends[-1].at
    tried = max(len(course.ends) - 1, 0)
    return bool(course.slot) and now - course.began < _GIVEN_UP and now >= last + PAUSE * 2**tried
