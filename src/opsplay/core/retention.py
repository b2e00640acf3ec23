"""How long backups stay: the lock each object gets when it is stored, and what may go later.

Pure. Grandfather, father, son, by age and never by count: however many newer backups appear, they
push none out. All dates of `Held` are the storage's own. Nobody who can name or date a backup can
shorten another's life.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from opsplay.core.errors import InvalidInput

PROVED = 2
"""Level of verification from which a newer backup lets an older one go."""
SETTLED = timedelta(days=7)
"""How old a newer backup must be itself: a flood of garbage is noticed before it counts."""
LONGEST_LOCK = 13
"""Months. No lock is longer, whatever a contract says: the daily credential may set none."""
SUPERSEDED = timedelta(days=35)
"""How long a verdict stays after a newer one of its level."""
CERTIFIED = timedelta(days=400)
"""How long a drill's certificate stays, even if its backup goes: past the next of a yearly drill."""


@dataclass(frozen=True)
class Plan:
    """What a maintenance plan promises about keeping. 0: none of that kind."""

    name: str
    daily: int
    """Days that each backup is kept."""
    weekly: int = 0
    """Weeks that the first backup of a week is kept."""
    monthly: int = 0
    """Months that the first full backup of a month is kept."""
    yearly: int = 0
    """Years that the first full backup of a year is kept: by contract (`keep_years`), no preset has any."""
    least: int = 3
    """Good backups that are always kept, however old."""

    def longest(self, stored: datetime) -> datetime:
        """Return when a backup has to go at the latest, elected for whatever."""
        ends = (timedelta(days=self.daily), timedelta(weeks=self.weekly))
        later = (self.monthly, self.yearly * 12)
        return max(*(stored + end for end in ends), *(months_later(stored, n) for n in later))


PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        "essentiel": Plan("essentiel", daily=35, monthly=3),
        "business": Plan("business", daily=35, weekly=8, monthly=13),
        "critique": Plan("critique", daily=35, weekly=13, monthly=13),
    }
)


def plan_named(name: str, years: int = 0) -> Plan:
    """Return the preset, with the years that a contract adds. Raises InvalidInput."""
    if name not in PLANS:
        raise InvalidInput(f"no plan {name!r} (there is: {', '.join(PLANS)})")
    return replace(PLANS[name], yearly=years)


def locked_until(plan: Plan, started: datetime, *, full: bool, packs: bool = False) -> datetime:
    """Return until when the storage is to refuse to delete an object of a backup.

    Args:
        plan: the site's.
        started: when the backup began, by the controller's clock.
        full: it is the one that its month keeps: the first full one with files of this
            environment and month. All its objects are locked as long as it is kept.
        packs: the object is a pack of files, which every later backup of the month may need.
    """
    until = started + timedelta(days=plan.daily)
    if packs:
        kept = max(timedelta(days=plan.daily), timedelta(weeks=plan.weekly))
        until = max(until, _next_month(started) + kept)
    if full:
        years = plan.yearly if started.astimezone(UTC).month == 1 else 0
        months = min(max(plan.monthly, years * 12), LONGEST_LOCK)
        until = max(until, months_later(started, months))
    return until


def verdict_locked_until(given: datetime, backup: datetime | None) -> datetime | None:
    """Return until when a verdict is locked: as its backup is, and until it may be superseded.

    Args:
        given: when.
        backup: until when the backup is locked that it is about; None: it is not.
    """
    return min(backup, given + SUPERSEDED) if backup and backup > given else None


def months_later(moment: datetime, months: int) -> datetime:
    """Return the same day and time that many months later, or the last day of that month.

    >>> months_later(datetime(2027, 1, 31, tzinfo=UTC), 13).isoformat()
    '2028-02-29T00:00:00+00:00'
    """
    moment = moment.astimezone(UTC)
    count = moment.year * 12 + moment.month - 1 + months
    year, month = count // 12, count % 12 + 1
    last = calendar.monthrange(year, month)[1]
    return moment.replace(year=year, month=month, day=min(moment.day, last))


def _next_month(moment: datetime) -> datetime:
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return months_later(first, 1)


@dataclass(frozen=True)
class Held:
    """One sealed backup, as expiry believes in it."""

    key: str
    """Of its manifest."""
    environment: str
    parts: frozenset[str]
    """`database`, `files` or both."""
    full: bool
    stored: datetime
    """When its manifest was stored, by the storage's clock."""
    lock: datetime | None = None
    """Until when its manifest is locked; None: it is not."""
    good: bool = True
    """Signed by us, and no verification found it damaged."""
    suspect: bool = False
    """It looks like damage (ransomware, a wiped site), and nobody has said that it is none."""
    verified: int = 0
    """Level at which it was found right; 0: never."""

    def covers(self, other: Held) -> bool:
        """Return whether this one has all that the other has, and is newer."""
        newer = self.stored > other.stored
        return newer and self.environment == other.environment and self.parts >= other.parts


@dataclass(frozen=True)
class Fate:
    """What becomes of a backup, and why."""

    held: Held
    stays: bool
    why: str
    until: datetime | None = None
    """When that reason ends; None: by what happens, not by time."""


def fates(held: Iterable[Held], plan: Plan, now: datetime) -> tuple[Fate, ...]:
    """Return what becomes of each, oldest first."""
    every = tuple(sorted(held, key=lambda one: (one.stored, one.key)))
    elected = _elected(every, plan)
    frozen = _frozen(every, plan)
    return tuple(_fate(one, every, elected, frozen, plan, now) for one in every)


def kept(held: Iterable[Held], plan: Plan, now: datetime) -> Mapping[str, str]:
    """Return manifest key → why it is kept."""
    return {one.held.key: one.why for one in fates(held, plan, now) if one.stays}


def expirable(held: Iterable[Held], plan: Plan, now: datetime) -> tuple[Held, ...]:
    """Return the backups that may go now, oldest first."""
    return tuple(one.held for one in fates(held, plan, now) if not one.stays)


def _fate(
    one: Held,
    every: Sequence[Held],
    elected: Mapping[str, tuple[str, datetime]],
    frozen: Mapping[str, datetime],
    plan: Plan,
    now: datetime,
) -> Fate:
    daily = one.stored + timedelta(days=plan.daily)
    if one.lock and one.lock > now:
        return Fate(one, True, "the storage has it locked", one.lock)
    if daily > now:
        return Fate(one, True, f"it is younger than {plan.daily} days", daily)
    why, until = elected.get(one.key, ("", daily))
    if until > now:
        return Fate(one, True, why, until)
    if frozen.get(one.key, now) > now:
        return Fate(one, True, "a later one is suspect: nobody has said yet that it is no damage")
    newer = _proved(one, every, now)
    if newer < plan.least:
        wanted = f"{newer} of {plan.least} newer ones are verified at level {PROVED}"
        return Fate(one, True, f"only {wanted} and a week old")
    return Fate(one, False, f"its time is over, and {newer} newer ones are verified")


def _elected(every: Sequence[Held], plan: Plan) -> Mapping[str, tuple[str, datetime]]:
    """Return key → (why, until): the first backup of each week, month and year."""
    found: dict[str, tuple[str, datetime]] = {}
    for word, kept_on in (("week", plan.weekly), ("month", plan.monthly), ("year", plan.yearly)):
        firsts = _firsts(every, word) if kept_on else {}
        for one in firsts.values():
            until = _end(one.stored, word, kept_on)
            if until > found.get(one.key, ("", one.stored))[1]:
                found[one.key] = (f"it is the first of its {word}", until)
    return found


def _firsts(every: Sequence[Held], word: str) -> Mapping[tuple[object, ...], Held]:
    """Return the best of each period: good, complete, full (but for a week), and the earliest."""
    best: dict[tuple[object, ...], Held] = {}
    for one in every:
        if not one.full and word != "week":
            continue
        period = (one.environment, *_period(one.stored, word))
        if period not in best or _worth(one) > _worth(best[period]):
            best[period] = one
    return best


def _worth(one: Held) -> tuple[bool, bool, int]:
    return one.good, not one.suspect, len(one.parts)


def _period(moment: datetime, word: str) -> tuple[int, ...]:
    moment = moment.astimezone(UTC)
    match word:
        case "week":
            return tuple(moment.isocalendar()[:2])
        case "month":
            return moment.year, moment.month
        case _:
            return (moment.year,)


def _end(stored: datetime, word: str, count: int) -> datetime:
    if word == "week":
        return stored + timedelta(weeks=count)
    return months_later(stored, count * 12 if word == "year" else count)


def _frozen(every: Sequence[Held], plan: Plan) -> Mapping[str, datetime]:
    """Return key → until: what was kept when the first suspect appeared, as long as the plan may."""
    suspects = [one.stored for one in every if one.suspect]
    if not suspects:
        return {}
    begun = min(suspects)
    older = [one for one in every if one.stored < begun]
    return {one.key: plan.longest(one.stored) for one in older}


def _proved(one: Held, every: Sequence[Held], now: datetime) -> int:
    """Return on how many days newer backups were stored that could take its place."""
    days = {
        other.stored.astimezone(UTC).date()
        for other in every
        if other.good and not other.suspect and other.verified >= PROVED
        if other.covers(one) and now - other.stored >= SETTLED
    }
    return len(days)
