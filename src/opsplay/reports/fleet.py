"""Many sites: one line each, and counts; never a block for every one of thousands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opsplay.core.event import State
from opsplay.kit.wording import counted
from opsplay.reports.ink import Ink
from opsplay.reports.story import RunStory
from opsplay.reports.words import QUIET, STYLES, SYMBOLS, first_line, from_to, state_ink

MANY = 12
"""From so many sites on each has one line, in plans, while it runs, and at the end."""
_NAMED = 10
_ALL_STATES = tuple(State)


def fleet_plan(sites: Iterable[Mapping[str, Any]], round_trips: Mapping[str, int]) -> Ink:
    """Return the plans of many sites: a line for each with something to change, batch by batch."""
    told, batch, states = Ink(), 0, Counter[str]()
    changes = 0
    for site in sites:
        state = _state(site)
        states[state] += 1
        changes += sum(1 for _ in _changes(site))
        if state == State.OK:
            continue
        if site.get("batch", 1) != batch:
            batch = site.get("batch", 1)
            told.append(f"batch {batch}\n", "bold")
        told.append("  ").append(state_ink(state)).append(f"  {site['site']}", "bold")
        told.append(f"  {_gist(site)}\n", "" if state == State.FAILED else QUIET)
    told.append("\n" if batch else "")
    for line in _verdict(states, changes):
        told.append(line).append("\n")
    return told.append(f"nothing was written; round trips: {trips(round_trips)}", QUIET)


def _state(site: Mapping[str, Any]) -> str:
    if site.get("error"):
        return State.FAILED
    return State.CHANGED if site["pending"] else State.OK


def _changes(site: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for stage in site.get("stages", ()):
        for step in stage.get("steps", ()):
            if step.get("state") == State.CHANGED:
                yield from (one for one in step.get("changes", ()) if not one.get("observes"))


def _gist(site: Mapping[str, Any]) -> str:
    if site.get("error"):
        return first_line(str(site["error"]))
    waits = [str(stage["waits"]) for stage in site.get("stages", ()) if stage.get("waits")]
    wait = f"; would wait {waits[0]}" if waits else ""
    if site.get("risk"):
        return f"{site['risk']}{wait}"
    every = list(_changes(site))
    first = from_to(*(str(every[0].get(word, "")) for word in ("what", "before", "after")))
    more = f", {len(every) - 1} more" if len(every) > 1 else ""
    return f"{first}{more}{wait}"


def _verdict(states: Mapping[str, int], changes: int) -> Iterator[Ink]:
    if calm := states.get(State.OK, 0):
        yield _coloured(State.OK, f"{counted(calm, 'site')} with nothing to change")
    if pending := states.get(State.CHANGED, 0):
        told = f"{counted(changes, 'change')} pending on {counted(pending, 'site')}"
        yield _coloured(State.CHANGED, told)
    if errors := states.get(State.FAILED, 0):
        yield _coloured(State.FAILED, f"{counted(errors, 'site')} could not be planned")


def _coloured(state: str, text: str) -> Ink:
    return Ink(f"{SYMBOLS[state]} {text}", STYLES[state])


def trips(round_trips: Mapping[str, int]) -> str:
    """Return the round trips to each host, or for many hosts all together."""
    if len(round_trips) > MANY:
        return f"{sum(round_trips.values())} to {counted(len(round_trips), 'host')}"
    return ", ".join(f"{host} {count}" for host, count in sorted(round_trips.items())) or "none"


def states_line(story: RunStory) -> Ink:
    """Return how many sites ended how, worst first."""
    counts = Counter(site.state for site in story.sites.values())
    told = Ink()
    for place, state in enumerate(one for one in reversed(_ALL_STATES) if counts[one]):
        told.append("  " if place else "").append(_coloured(state, f"{counts[state]} {state}"))
    return told


def untouched(story: RunStory) -> str:
    """Return which sites a stopped line left alone; empty when it was not stopped."""
    left = [name for name, site in story.sites.items() if site.state == State.SKIPPED]
    if not story.stopped or not left:
        return ""
    return f"{counted(len(left), 'site')} not touched: {names(left)}"


def names(sites: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(sites) - _NAMED} more" if len(sites) > _NAMED else ""
    return ", ".join(sites[:_NAMED]) + more
