"""When scheduled playbooks are due. Pure: schedule, past and clock in, slots out.

Slots are told apart by their moment in UTC, so that no hour that happens twice starts anything
twice. Daylight saving is cron's (Debian): what is set for a time of day that does not exist runs
right after the gap; what is set for one that exists twice runs the first time. Only schedules with
a `*` in the minute or hour follow the hours as they really pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from opsplay.core.schedule import Due, Past, Schedule, Slot, Standing, Start

GRACE = timedelta(minutes=10)
"""How late a slot may be and still not count as missed: a tick comes each minute."""
LONGEST_GRACE = timedelta(days=1)
"""How late a good run may be where the schedule says nothing of it."""
MOST_STARTS = 50_000
NEVER = datetime.max.replace(tzinfo=UTC)


def moments(schedule: Schedule, after: datetime, until: datetime = NEVER) -> Iterator[datetime]:
    """Yield the schedule's moments after `after`, up to and with `until`, in UTC, each once."""
    from cronsim import CronSim

    last = after.astimezone(UTC)
    if _first(schedule.cron, schedule.timezone, last) > until:
        return  # as nearly always: a tick a minute looks for a moment a month
    for local in CronSim(schedule.cron, last.astimezone(ZoneInfo(schedule.timezone))):
        moment = local.astimezone(UTC)
        if moment > until:
            return
        # Where clocks are set back, cronsim may begin with the first of two equal hours again.
        if moment > last:
            last = moment
            yield moment


@lru_cache(maxsize=4096)
def _first(cron: str, timezone: str, after: datetime) -> datetime:
    from cronsim import CronSim

    found = CronSim(cron, after.astimezone(ZoneInfo(timezone)))
    coming = (local.astimezone(UTC) for local in found)
    return next((moment for moment in coming if moment > after), NEVER)


def offset(schedule: Schedule, name: str, site: str) -> timedelta:
    """Return how much later than the slot this site begins: whole minutes within the spread.

    It depends on the two names alone, so that a site keeps it when others come or go.

    >>> offset(Schedule("0 3 * * *", "daily"), "drill", "bakery")
    datetime.timedelta(0)
    """
    minutes = schedule.spread // timedelta(minutes=1)
    if minutes <= 1:
        return timedelta(0)
    number = int.from_bytes(hashlib.sha256(f"{name}\0{site}".encode()).digest()[:8])
    return timedelta(minutes=number % minutes)


def slots(
    schedule: Schedule, late: timedelta, after: datetime, until: datetime = NEVER
) -> Iterator[Slot]:
    """Yield the slots that come due after `after`, up to and with `until`; `late`: see `offset`."""
    end = until if until == NEVER else until - late
    for moment in moments(schedule, after - late, end):
        yield Slot(moment, moment + late)


def due(schedule: Schedule, late: timedelta, past: Past, now: datetime) -> Due:
    """Return what has to be started now for one site.

    Nothing from before the schedule was known, and no slot that was started, however the clock
    jumps: a slot is only done with when it was started, or when a later one before `now` was.
    """
    if past.known_since is None:
        return Due()
    done = max((one for one in past.started if one <= now), default=None)
    open_ = [
        slot
        for slot in slots(schedule, late, _begin(past.known_since, done, late), now)
        if slot.at not in past.started
    ]
    return _made_up(schedule, open_, now)


def _begin(known_since: datetime, done: datetime | None, late: timedelta) -> datetime:
    return known_since if done is None else max(known_since, done + late)


def _made_up(schedule: Schedule, open_: list[Slot], now: datetime) -> Due:
    match schedule.misfire:
        case "all":
            return Due(tuple(open_))
        case "latest":
            return Due(tuple(open_[-1:]), tuple(open_[:-1]))
        case "skip":
            fresh = [slot for slot in open_ if slot.due >= now - GRACE]
            return Due(tuple(fresh[-1:]), tuple(slot for slot in open_ if slot not in fresh[-1:]))


def upcoming(schedule: Schedule, late: timedelta, past: Past, now: datetime) -> Slot | None:
    """Return the slot that is started next: one that is due already, or the first to come."""
    if waiting := due(schedule, late, past, now).start:
        return waiting[0]
    coming = slots(schedule, late, now)
    return next((slot for slot in coming if slot.at not in past.started), None)


def overdue_since(
    schedule: Schedule, late: timedelta, past: Past, now: datetime
) -> datetime | None:
    """Return since when a good run is overdue, or None.

    The first slot since the last good run has to bring the next one, within the schedule's
    `overdue`; where that is not set, before the slot after it comes, and within a day.
    """
    if past.known_since is None:
        return None
    begin = max(past.known_since, (past.last_good or past.known_since) + late)
    coming = slots(schedule, late, begin)
    expected = next(coming, None)
    if expected is None or expected.due > now:
        return None
    limit = expected.due + _patience(schedule, expected, next(coming, None))
    return limit if limit <= now else None


def _patience(schedule: Schedule, expected: Slot, following: Slot | None) -> timedelta:
    if schedule.overdue is not None:
        return schedule.overdue
    return min(following.due - expected.due, LONGEST_GRACE) if following else LONGEST_GRACE


def standing(schedule: Schedule, name: str, site: str, past: Past, now: datetime) -> Standing:
    """Return how a scheduled playbook stands on a site."""
    late = offset(schedule, name, site)
    coming = upcoming(schedule, late, past, now)
    return Standing(name, site, schedule, coming, past, overdue_since(schedule, late, past, now))


def forecast(
    rows: Iterable[Standing],
    since: datetime,
    until: datetime,
    off: tuple[datetime, datetime] | None = None,
    *,
    most: int = MOST_STARTS,
) -> tuple[Start, ...]:
    """Return everything that starts from `since` on, before `until`, in order of time.

    There are never more than `most` and one: then there are more still, and some are missing.
    `off`: from when until when the controller is supposed to be off; what comes due then is made
    up for when it is back, as the schedules' `misfire` says.
    """
    found = (start for row in rows for start in _of_one(row, since, until, off))
    return tuple(sorted(islice(found, most + 1)))


def _of_one(
    row: Standing, since: datetime, until: datetime, off: tuple[datetime, datetime] | None
) -> Iterator[Start]:
    late = offset(row.schedule, row.name, row.site)
    first, back = off or (until, until)
    for begin, end in ((since, min(first, until)), (max(back, since), until)):
        for slot in slots(row.schedule, late, begin - timedelta(microseconds=1), end):
            if slot.due < end and slot.at not in row.past.started:
                yield Start(slot.due, row.name, row.site, slot)
    if off and since <= back < until:
        yield from _after_the_break(row, late, max(first, since), back)


def _after_the_break(
    row: Standing, late: timedelta, first: datetime, back: datetime
) -> Iterator[Start]:
    past = Past(first - timedelta(microseconds=1), row.past.started)
    made_up = due(row.schedule, late, past, back - timedelta(microseconds=1))
    for number, slot in enumerate(made_up.start):
        yield Start(back, row.name, row.site, slot, made_up.missed if number == 0 else ())
