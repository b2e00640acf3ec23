"""What a resume goes on from: histories, batches, and failures that somebody has mended since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opsplay.core.event import Event, State
from opsplay.engine.fleet import Earlier
from opsplay.engine.history import SiteHistory, history_of
from opsplay.journal import Journal

_GOOD = (State.OK, State.CHANGED)


@dataclass(frozen=True)
class Mended:
    """A site that failed in a run, and the later run that brought it through the same playbook."""

    site: str
    by: str


def earlier_of(journal: Journal, run: str, *, past_failures: bool = False) -> Earlier:
    """Return what earlier attempts at a run left; what was mended since is journalled as ok.

    `past_failures`: go on behind the sites that failed, although nobody mended them.
    """
    start = journal.events(run, kinds=("run_started",))[0]
    sites = [str(site) for site in start.data["sites"]]
    histories = {site: _history(journal, run, site) for site in sites}
    failed = [site for site in sites if histories[site].state not in {None, *_GOOD}]
    for one in () if past_failures else _mended(journal, start, failed):
        detail = f"mended: run {one.by} brought it through the same playbook"
        data = {"state": State.OK, "detail": detail, "exit_status": 0, "downtime_seconds": 0}
        journal.append(run, "site_finished", one.site, data)
        histories[one.site] = SiteHistory(state=State.OK, detail=detail)
    batched = journal.events(run, kinds=("batched",))
    return Earlier(
        batches=batched[-1].data["batches"] if batched else (),
        histories=histories,
        forgiven=frozenset(failed if past_failures else ()),
    )


def _history(journal: Journal, run: str, site: str) -> SiteHistory:
    history = history_of(journal.events(run, site=site), site)
    # Of a site that is done with only the verdict is needed; there may be thousands.
    return (
        history
        if history.state is None
        else SiteHistory({}, history.state, history.exit_status, history.detail)
    )


def _mended(journal: Journal, start: Event, failed: Iterable[str]) -> Iterable[Mended]:
    names = list(failed)
    later = journal.events(kinds=("run_started",), after=start.sequence) if names else ()
    again = [event for event in later if _same(event, start)]
    for site in names:
        for event in reversed(again):
            # The newest run that came to a verdict counts: what was mended may be broken again.
            if site in event.data["sites"] and (state := _verdict(journal, event.run, site)):
                if state in _GOOD:
                    yield Mended(site, event.run)
                break


def _same(one: Event, other: Event) -> bool:
    return all(one.data[name] == other.data[name] for name in ("playbook", "tags"))


def _verdict(journal: Journal, run: str, site: str) -> State | None:
    ends = journal.events(run, site=site, kinds=("site_finished",))
    return State(ends[-1].data["state"]) if ends else None
