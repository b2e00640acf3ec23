"""Schedules, for a person and for a program: how they stand, and what they will start."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from opsplay.core.event import State
from opsplay.core.schedule import Slot, Standing, Start
from opsplay.kit.wording import counted
from opsplay.reports.words import QUIET, ago, state_text

OVERDUE = "overdue"
_NONE = Text("no playbook has a schedule; add one, such as: schedule: quarterly")


def local_text(moment: datetime, timezone: str) -> str:
    """Return a moment as clocks on the wall of a time zone show it.

    >>> from datetime import UTC
    >>> local_text(datetime(2027, 4, 1, 1, tzinfo=UTC), "Europe/Paris")
    'Thu 2027-04-01 03:00 CEST'
    """
    return f"{moment.astimezone(ZoneInfo(timezone)):%a %Y-%m-%d %H:%M %Z}"


def standings_table(rows: Iterable[Standing], now: datetime) -> RenderableType:
    """Return when each schedule starts next on each site, how it went last, and what is overdue."""
    listed = sorted(rows, key=lambda row: (row.name, row.site))
    if not listed:
        return _NONE
    table = _table("playbook", "site", "next", "last run", "ended", "")
    for row in listed:
        starts = local_text(row.next.due, row.schedule.timezone) if row.next else "never again"
        if row.next and row.next.due <= now:
            starts += " (due)"
        when = ago(row.past.last_at, now) if row.past.last_at else ""
        table.add_row(row.name, row.site, starts, when, _ended(row), _alarm(row))
    return table


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _ended(row: Standing) -> Text:
    if not row.past.last_run:
        return Text("never run", QUIET)
    if row.past.last_state in set(State):
        return state_text(row.past.last_state, padded=False)
    return Text(row.past.last_state, QUIET)


def _alarm(row: Standing) -> Text:
    if row.overdue_since is None:
        return Text("")
    since = local_text(row.overdue_since, row.schedule.timezone)
    return Text.assemble((f"✗ {OVERDUE}", "bold red"), f" since {since}")


def starts_table(starts: Iterable[Start], zones: dict[str, str]) -> RenderableType:
    """Return what starts when; `zones`: playbook → the time zone its schedule is meant in."""
    listed = list(starts)
    if not listed:
        return Text("nothing starts in that time")
    table = _table("starts", "UTC", "playbook", "site", "")
    for one in listed:
        zone = zones[one.name]
        utc = f"{one.moment:%m-%d %H:%M}"
        table.add_row(local_text(one.moment, zone), utc, one.name, one.site, _late(one, zone))
    return table


def _late(one: Start, zone: str) -> Text:
    if one.moment == one.slot.due:
        return Text("")
    told = f"made up for {local_text(one.slot.due, zone)}"
    return Text(told + (f"; {counted(len(one.missed), 'start')} missed" if one.missed else ""))


def starts_summary(starts: Iterable[Start]) -> str:
    """Return how many starts there are, and that none comes twice.

    >>> starts_summary(())
    '0 starts'
    """
    listed = list(starts)
    once = len({(one.name, one.site, one.slot.at) for one in listed}) == len(listed)
    told = f"{counted(len(listed), 'start')}"
    if not listed:
        return told
    sites = counted(len({one.site for one in listed}), "site")
    return f"{told} on {sites}, {'each slot once' if once else 'SOME SLOTS TWICE'}"


def standings_data(rows: Iterable[Standing]) -> list[dict[str, Any]]:
    """Return how schedules stand as JSON-ready data."""
    listed = sorted(rows, key=lambda row: (row.name, row.site))
    return [
        {
            "playbook": row.name,
            "site": row.site,
            "schedule": row.schedule.said,
            "timezone": row.schedule.timezone,
            "next": _iso(row.next.due if row.next else None),
            "slot": _iso(row.next.at if row.next else None),
            "last_run": row.past.last_run or None,
            "last_at": _iso(row.past.last_at),
            "last_state": row.past.last_state or None,
            "last_good": _iso(row.past.last_good),
            "overdue_since": _iso(row.overdue_since),
        }
        for row in listed
    ]


def starts_data(starts: Iterable[Start]) -> list[dict[str, Any]]:
    """Return what starts when as JSON-ready data."""
    return [
        {
            "at": _iso(one.moment),
            "playbook": one.name,
            "site": one.site,
            **_slot(one.slot),
            "missed": [_iso(slot.at) for slot in one.missed],
        }
        for one in starts
    ]


def _slot(slot: Slot) -> dict[str, Any]:
    return {"slot": _iso(slot.at), "due": _iso(slot.due)}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
