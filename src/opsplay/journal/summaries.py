"""The list of runs, made from the events that begin and end them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from opsplay.core.event import Event


@dataclass(frozen=True)
class RunSummary:
    """One run as the list of runs shows it."""

    run: str
    started: datetime
    finished: datetime | None
    playbook: str
    sites: tuple[str, ...]
    state: str
    exit_status: int | None
    """None while the run is under way or was cut short."""
    waiting: tuple[Mapping[str, str], ...] = ()
    """What it waits for since its end: `site`, `stage`, `reason`, `until` (ISO, or empty), `detail`."""


def summaries(events: Iterable[Event]) -> tuple[RunSummary, ...]:
    """Return one summary a run, oldest first, from their `run_started` and `run_finished`."""
    # As they came, not by their names, which a clock that was set back puts out of order. The
    # events themselves are not kept: each start holds the texts of a whole inventory.
    found: dict[str, RunSummary] = {}
    for event in events:
        if event.kind == "run_started":
            found.setdefault(event.run, _begun(event))
        elif event.kind == "run_finished" and event.run in found:
            found[event.run] = _ended(found[event.run], event)
    return tuple(found.values())


def _begun(start: Event) -> RunSummary:
    return RunSummary(
        run=start.run,
        started=start.at,
        finished=None,
        playbook=str(start.data.get("playbook", "")),
        sites=tuple(start.data.get("sites", ())),
        state="unfinished",
        exit_status=None,
    )


def _ended(run: RunSummary, end: Event) -> RunSummary:
    return replace(
        run,
        finished=end.at,
        state=str(end.data.get("state", "")),
        exit_status=int(end.data["exit_status"]),
        waiting=tuple(end.data.get("waiting", ())),
    )
