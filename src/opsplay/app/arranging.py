"""A plan for a run: its sites in order and in batches, and in the journal before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import overload

from opsplay.core.event import Event
from opsplay.core.playbook import Playbook
from opsplay.core.site import Site
from opsplay.engine.fleet import Earlier, arranged, names_of
from opsplay.engine.plan import Plan, SitePlan, to_data
from opsplay.journal import Journal

_AT_ONCE = 500
"""Sites whose plans are written to the journal in one transaction."""
_FEW = 100
"""Sites whose events are all kept in memory at the end of a run."""


def for_run(plan: Plan, sites: Sequence[Site], book: Playbook, earlier: Earlier) -> Plan:
    """Return the plan with every site of the run arranged; those done with have no stages."""
    planned = {one.site.name: one for one in plan.sites}
    every = tuple(planned.get(site.name) or SitePlan(site) for site in sites)
    return arranged(replace(plan, sites=every), book, earlier.batches)


def left_of(everything: Plan, earlier: Earlier) -> Plan:
    """Return the part of a plan that is still to be carried out."""
    left = (one for one in everything.sites if not earlier.finished(one.site.name))
    return replace(everything, sites=tuple(left))


def journal_plan(
    journal: Journal, run: str, book: Playbook, everything: Plan, earlier: Earlier
) -> None:
    """Write the plan of each site and, where they are not obvious, the batches."""
    left = left_of(everything, earlier).sites
    for start in range(0, len(left), _AT_ONCE):
        group = left[start : start + _AT_ONCE]
        journal.append_all(run, [("planned", one.site.name, to_data(one)) for one in group])
    names = names_of(everything)
    if not earlier.batches and (len(names) > 1 or book.order != "inventory"):
        journal.append(run, "batched", "", {"order": book.order, "batches": names})


def events_of(
    journal: Journal, reopened: Callable[[], Journal], run: str, sites: int
) -> Sequence[Event]:
    """Return the events of a run: at once, or for many sites as they are gone through."""
    return journal.events(run) if sites <= _FEW else RunEvents(reopened, run)


class RunEvents(Sequence[Event]):
    """All events of a run. Whoever goes through them once has few of them in memory at a time."""

    def __init__(self, journal: Callable[[], Journal], run: str) -> None:
        self._journal = journal
        self._run = run
        self._all: tuple[Event, ...] = ()

    def __iter__(self) -> Iterator[Event]:
        if self._all:
            yield from self._all
            return
        with closing(self._journal()) as journal:
            yield from journal.stream(self._run)

    @overload
    def __getitem__(self, place: int) -> Event: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Event, ...]: ...

    def __getitem__(self, place: int | slice) -> Event | tuple[Event, ...]:
        return self._known()[place]

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> tuple[Event, ...]:
        if not self._all:
            with closing(self._journal()) as journal:
                self._all = journal.events(self._run)
        return self._all
