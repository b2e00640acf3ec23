"""When a stage may begin: is its window open, when does it open next, when does it close. Pure.

Hours are those of clocks on the wall in the window's time zone. On the day clocks go forward, a
time that does not exist stands for the moment they jump; on the day they go back, a time that
comes twice stands for the first time it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from opsplay.core.playbook import Window
from opsplay.engine.plan import Plan, PlannedStage, SitePlan

_FARTHEST = 400
"""Days to look ahead: longer than any run of holidays, so that never is told from not yet."""
_BACK = 2
"""Days to look back: hours reach into the next day, and zones are up to a day apart."""
_SECOND = timedelta(seconds=1)


def is_open(window: Window, now: datetime) -> bool:
    """Return whether a stage may begin at `now` (aware)."""
    return _span_at(window, now) is not None


def opens_next(window: Window, now: datetime) -> datetime | None:
    """Return the first moment from `now` on at which it is open, in UTC; None when there is none."""
    if is_open(window, now):
        return now.astimezone(UTC)
    later = (opens for opens, _ in _spans(window, now, _FARTHEST) if opens > now)
    return next(later, None)


def closes(window: Window, now: datetime) -> datetime | None:
    """Return when it closes, in UTC: `now` where it is closed, None where it never does."""
    end = now.astimezone(UTC)
    for _ in range(_FARTHEST):
        span = _span_at(window, end)
        if span is None:
            return end
        end = span[1]
    return None


def with_waits(plan: Plan, now: datetime) -> Plan:
    """Return a plan whose stages say until when they would wait for their windows."""
    return replace(plan, sites=tuple(_site_with_waits(site, now) for site in plan.sites))


def in_words(window: Window, moment: datetime | None) -> str:
    """Return a moment as the people there read it.

    >>> window = Window(1320, 1740, "Europe/Paris")
    >>> in_words(window, datetime(2026, 11, 22, 21, tzinfo=UTC))
    'Sun 2026-11-22 22:00 Europe/Paris'
    """
    if moment is None:
        return f"a day that does not come within {_FARTHEST} days"
    return f"{moment.astimezone(ZoneInfo(window.timezone)):%a %Y-%m-%d %H:%M} {window.timezone}"


def _site_with_waits(site: SitePlan, now: datetime) -> SitePlan:
    return replace(site, stages=tuple(_stage_with_waits(stage, now) for stage in site.stages))


def _stage_with_waits(planned: PlannedStage, now: datetime) -> PlannedStage:
    window = planned.stage.window
    if window is None or not planned.pending or is_open(window, now):
        return planned
    return replace(planned, waits=f"until {in_words(window, opens_next(window, now))}")


def _span_at(window: Window, now: datetime) -> tuple[datetime, datetime] | None:
    spans = _spans(window, now, _BACK)
    return next((span for span in spans if span[0] <= now < span[1]), None)


def _spans(window: Window, now: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
    """Yield when it opens and closes, in UTC, from two days before `now` to `days` after it."""
    zone = ZoneInfo(window.timezone)
    today = now.astimezone(zone).date()
    for number in range(-_BACK, days + 1):
        day = today + timedelta(days=number)
        if _is_working(window, day):
            opens, ends = _moment(day, window.opens, zone), _moment(day, window.closes, zone)
            if opens < ends:  # not all of it lies in the hour that is left out
                yield opens, ends


def _is_working(window: Window, day: date) -> bool:
    if day.weekday() not in window.days:
        return False
    return not window.holidays or day not in _holidays(window.holidays, day.year)


@cache
def _holidays(country: str, year: int) -> frozenset[date]:
    from holidays import country_holidays

    name, _, part = country.partition("-")
    return frozenset(country_holidays(name, subdiv=part or None, years=year))


def _moment(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001 - zone follows
    late = wall.replace(tzinfo=zone).astimezone(UTC)
    if late.astimezone(zone).replace(tzinfo=None) == wall:
        return late
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _jump(early, late, zone)


def _jump(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment between the two at which clocks jump, to the second."""
    before = early.astimezone(zone).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late
