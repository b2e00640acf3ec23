"""What a run waits for, and whether it could go on now. Pure: events and a moment in, waits out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opsplay.core.event import Event, EventKind, State
from opsplay.core.playbook import Window
from opsplay.engine.approval import Asking, askings
from opsplay.engine.window import is_open

KINDS: tuple[EventKind, ...] = (
    "site_started", "waiting", "approval_asked", "approved", "refused", "site_finished",
)  # fmt: skip
"""The events that say what a run waits for; the others may be left out."""


@dataclass(frozen=True)
class Wait:
    """What one site of a run waits for."""

    site: str
    stage: str
    step: int
    """-1: the whole stage waits."""
    reason: str
    """`window`, `approval`, or `turn`: the sites of an earlier batch wait."""
    until: datetime | None
    """When the window opens, or the time to agree ends; None: not known."""
    detail: str
    window: Window | None = None
    asking: Asking | None = None

    def ready(self, now: datetime) -> bool:
        """Return whether the site could go on now; one whose turn it is not never says so."""
        match self.reason:
            case "window":
                return self.window is None or is_open(self.window, now)
            case "approval":
                answered = self.asking is not None and self.asking.answer is not None
                return answered or (self.until is not None and self.until <= now)
            case _:
                return False


@dataclass(frozen=True)
class WaitingRun:
    """A run that waits, with all its sites that do."""

    run: str
    waits: tuple[Wait, ...]
    ready: bool
    """Whether a resume would bring any of its sites on."""

    @property
    def next(self) -> Wait:
        """Return the wait that ends first, as far as that is known."""
        known = [one for one in self.waits if one.until is not None]
        return min(known, key=lambda one: str(one.until)) if known else self.waits[0]

    @property
    def reason(self) -> str:
        """Return what the run waits for first."""
        return self.next.reason

    @property
    def until(self) -> datetime | None:
        """Return until when the run waits; None: not known."""
        return self.next.until


def waits_of(events: Iterable[Event]) -> tuple[Wait, ...]:
    """Return what the sites of a run wait for by now; `events`: that run's of KINDS, in order."""
    standing: dict[str, Event] = {}
    asked: dict[str, list[Event]] = {}
    for event in events:
        if event.kind == "waiting":
            standing[event.site] = event
        elif event.kind == "site_started" or _is_over(event):
            standing.pop(event.site, None)
        elif event.kind in {"approval_asked", "approved", "refused"}:
            asked.setdefault(event.site, []).append(event)
    return tuple(_wait(asked.get(site, ()), event) for site, event in sorted(standing.items()))


def waiting_run(run: str, events: Iterable[Event], now: datetime) -> WaitingRun | None:
    """Return a run with what it waits for; None when it does not wait."""
    waits = waits_of(events)
    if not waits:
        return None
    mine = [one for one in waits if one.reason != "turn"]
    return WaitingRun(run, waits, not mine or any(one.ready(now) for one in mine))


def waiting_data(events: Iterable[Event]) -> list[dict[str, str]]:
    """Return what a run waits for as JSON-ready data; `until` is an ISO time, or empty."""
    return [
        {
            "site": wait.site,
            "stage": wait.stage,
            "reason": wait.reason,
            "until": wait.until.isoformat() if wait.until else "",
            "detail": wait.detail,
        }
        for wait in waits_of(events)
    ]


def _is_over(event: Event) -> bool:
    return event.kind == "site_finished" and event.data["state"] != State.WAITING


def _wait(events: Iterable[Event], event: Event) -> Wait:
    data, place = event.data, (str(event.data["stage"]), int(event.data["step"]))
    asking = askings(events, event.site).get(place) if data["reason"] == "approval" else None
    return Wait(
        event.site,
        *place,
        str(data["reason"]),
        datetime.fromisoformat(data["until"]) if data.get("until") else None,
        str(data["detail"]),
        _window(data.get("window")),
        asking,
    )


def _window(data: Mapping[str, Any] | str | None) -> Window | None:
    return Window(**{**data, "days": tuple(data["days"])}) if isinstance(data, Mapping) else None
