"""Alarms of a tick: what is overdue, and what the watchers outside are told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from opsplay.app import pinging
from opsplay.app.options import Options
from opsplay.app.schedules import Done, Scheduled, Timetable
from opsplay.core.errors import ExitStatus, OpsplayError
from opsplay.core.event import State
from opsplay.core.schedule import Standing

_BAD = frozenset({State.FAILED, State.UNREACHABLE, State.ROLLED_BACK, State.UNKNOWN})
"""Last states of a site that a watcher is told of."""


def overdue(rows: Iterable[Standing]) -> Iterator[Done]:
    """Yield an alarm for each site on which a good run is overdue."""
    for row in rows:
        if row.overdue_since is not None:
            last = f"{row.past.last_good:%Y-%m-%d %H:%M} UTC" if row.past.last_good else "never"
            text = f"{row.name}: {row.site} is overdue; last good run: {last}"
            yield Done("overdue", row.name, text, (row.site,), exit_status=ExitStatus.FAILED)


def drills(told: Mapping[str, str]) -> Iterator[Done]:
    """Yield an alarm for each site without a drill in the time that was promised."""
    for site, text in told.items():
        yield Done("overdue", "drills", f"{site}: {text}", (site,), exit_status=ExitStatus.FAILED)


def pings(
    options: Options, table: Timetable, rows: Sequence[Standing], undrilled: Collection[str]
) -> Iterator[Done]:
    """Tell each watcher whether all its schedules are in order; yield those who were not told.

    That changes nothing else: the runs went as they went. `undrilled`: sites whose drill is
    overdue, which the watchers of schedules with drills are told of.
    """
    late = {one.name for one in table.scheduled if one.drills and {*one.sites} & {*undrilled}}
    ill = late | {row.name for row in rows if row.overdue_since or row.past.last_state in _BAD}
    watched: dict[str, list[Scheduled]] = {}
    for one in table.scheduled:
        try:
            url = pinging.url_of(one.schedule, options)
        except OpsplayError as error:
            yield _untold(one.name, error)
        else:
            watched.setdefault(url, []).append(one)
    watched.pop("", None)
    for url, them in watched.items():
        good = all(one.name not in ill and one.error is None for one in them)
        try:
            pinging.ping(url, good=good)
        except OpsplayError as error:
            yield _untold(", ".join(one.name for one in them), error)


def _untold(names: str, error: OpsplayError) -> Done:
    return Done("ping", names, f"{names}: the watcher was not told: {error.what}")
