"""When scheduled playbooks start: once each, through daylight saving, breaks and jumping clocks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.core.schedule import Past, Schedule, Slot
from opsplay.engine.schedule import (
    GRACE,
    due,
    forecast,
    moments,
    offset,
    overdue_since,
    standing,
    upcoming,
)
from opsplay.language.schedules import WORDS

PARIS = ZoneInfo("Europe/Paris")
ZONES = (
    "UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Havana",
    "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia",
)  # fmt: skip
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NONE = timedelta(0)
DRILL = Schedule(WORDS["quarterly"], "quarterly", "Europe/Paris", spread=6 * HOUR)
DAYS_TO_WATCH = {(1, 1), (4, 1), (7, 1), (10, 1), (3, 28), (10, 31)}
"""Those of the slots, and those on which clocks change."""
SITES = tuple(f"site-{number:02}" for number in range(40))


def at(text: str, zone: ZoneInfo = PARIS) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def local(found, zone=PARIS):
    return [f"{one.astimezone(zone):%Y-%m-%d %H:%M %Z}" for one in found]


def of_day(cron: str, day: str) -> list[str]:
    begin = at(f"{day} 00:00")
    return local(moments(Schedule(cron, cron, "Europe/Paris"), begin - MINUTE, begin + DAY))


class Controller:
    """A year in seconds: ticks at the moments it is told to, and remembers what it started."""

    def __init__(self, schedule: Schedule, sites: tuple[str, ...], since: datetime) -> None:
        self.schedule, self.since = schedule, since
        self.late = {site: offset(schedule, "drill", site) for site in sites}
        self.pasts = {site: Past(known_since=since) for site in sites}
        self.log: list[tuple[datetime, str, Slot]] = []

    def tick(self, now: datetime) -> None:
        for site, past in self.pasts.items():
            found = due(self.schedule, self.late[site], past, now).start
            self.log += [(now, site, slot) for slot in found]
            if found:
                started = past.started | {slot.at for slot in found}
                self.pasts[site] = Past(self.since, started)


def test_a_year_of_quarterly_drills_starts_each_site_once_a_quarter():
    begin, end = at("2026-11-22 13:00"), at("2027-11-22 13:00")
    controller = Controller(DRILL, SITES, begin)
    off = (at("2027-03-27 00:00"), at("2027-04-06 13:00"))
    now = begin
    while now < end:
        if not off[0] <= now < off[1]:
            controller.tick(now)
        # Often in the hours of the slots and of the changes of the clocks, seldom in between.
        wall = now.astimezone(PARIS)
        near = (wall.month, wall.day) in DAYS_TO_WATCH and wall.hour < 10
        step = MINUTE * 5 if near else 6 * HOUR - (now - begin) % (6 * HOUR)
        now = min(now + step, off[1]) if now < off[1] else now + step

    each = Counter((site, slot.at) for _, site, slot in controller.log)
    quarters = local(sorted({slot.at for _, _, slot in controller.log}))
    assert quarters == [
        "2027-01-01 03:00 CET", "2027-04-01 03:00 CEST",
        "2027-07-01 03:00 CEST", "2027-10-01 03:00 CEST",
    ]  # fmt: skip
    assert set(each.values()) == {1}
    assert len(each) == 4 * len(SITES)
    made_up = [(now, site) for now, site, slot in controller.log if now - slot.due > HOUR]
    assert {now for now, _ in made_up} == {off[1]}
    assert {site for _, site in made_up} == set(SITES)
    in_time = [now - slot.due for now, _, slot in controller.log if now != off[1]]
    assert max(in_time) <= 5 * MINUTE


def test_the_forecast_of_the_same_year_says_what_the_ticks_do():
    begin, end = at("2026-11-22 13:00"), at("2027-11-22 13:00")
    off = (at("2027-03-27 00:00"), at("2027-04-06 13:00"))
    rows = [standing(DRILL, "drill", site, Past(begin), begin) for site in SITES]

    table = forecast(rows, begin, end, off)

    assert len(table) == 4 * len(SITES)
    late = [start for start in table if start.moment != start.slot.due]
    assert {start.moment for start in late} == {off[1]}
    assert {f"{start.slot.at:%m-%d}" for start in late} == {"04-01"}
    assert len({start.moment for start in table if start not in late}) > 3 * 25, "spread out"


def test_the_spread_keeps_a_sites_moment_and_stays_within_itself():
    found = {site: offset(DRILL, "drill", site) for site in SITES}

    assert all(NONE <= one < DRILL.spread for one in found.values())
    assert len(set(found.values())) > 30
    assert found["site-07"] == offset(DRILL, "drill", "site-07")
    assert offset(DRILL, "backup", "site-07") != found["site-07"]


@pytest.mark.parametrize(
    ("cron", "day", "found"),
    [
        ("30 2 * * *", "2027-03-28", ["2027-03-28 03:00 CEST"]),
        ("0 3 * * *", "2027-03-28", ["2027-03-28 03:00 CEST"]),
        ("0 2,3 * * *", "2027-03-28", ["2027-03-28 03:00 CEST"]),
        ("30 2 * * *", "2026-10-25", ["2026-10-25 02:30 CEST"]),
        ("0 1,2,3 * * *", "2026-10-25",
         ["2026-10-25 01:00 CEST", "2026-10-25 02:00 CEST", "2026-10-25 03:00 CET"]),
    ],
)  # fmt: skip
def test_a_time_of_day_comes_once_on_each_day_that_the_clocks_change(cron, day, found):
    assert of_day(cron, day) == found


@pytest.mark.parametrize(("day", "hours"), [("2027-03-28", 23), ("2026-10-25", 25)])
def test_an_hourly_schedule_follows_the_hours_that_really_pass(day, hours):
    begin = at(f"{day} 00:00")
    end = at(f"{day} 23:59")

    found = list(moments(Schedule("0 * * * *", "hourly", "Europe/Paris"), begin - MINUTE, end))

    assert len(found) == hours
    assert {later - sooner for sooner, later in pairwise(found)} == {HOUR}


CRONS = st.builds(
    "{} {} {} {} {}".format,
    st.sampled_from(["0", "30", "59", "*/20", "5,35"]),
    st.sampled_from(["*", "0", "1", "2", "3", "*/6", "1,2"]),
    st.sampled_from(["*", "1", "25-31", "L"]),
    st.sampled_from(["*", "3,10", "1,4,7,10"]),
    st.sampled_from(["*", "SUN", "1"]),
)
INSTANTS = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)).map(  # noqa: DTZ001
    lambda one: one.replace(tzinfo=UTC)
)


@settings(deadline=None, max_examples=60)
@given(CRONS, st.sampled_from(ZONES), INSTANTS)
def test_moments_go_forward_and_do_not_depend_on_where_one_begins(cron, zone, after):
    schedule = Schedule(cron, cron, zone)
    found = list(islice(moments(schedule, after), 12))

    assert found == sorted(set(found))
    assert all(one > after for one in found)
    for number, one in enumerate(found[:-1]):
        # Whoever looks from a moment on, or from just before the next, sees the same ones.
        for begin in (one, found[number + 1] - timedelta(seconds=1)):
            assert next(moments(schedule, begin)) == found[number + 1]


@settings(deadline=None, max_examples=60)
@given(
    CRONS, st.sampled_from(ZONES), INSTANTS, st.integers(0, 300),
    st.lists(st.integers(-2000, 4000), min_size=1, max_size=25), st.sampled_from(["latest", "all"]),
)  # fmt: skip
def test_nothing_starts_twice_whatever_the_clock_does(cron, zone, begin, spread, jumps, misfire):
    schedule = Schedule(cron, cron, zone, spread * MINUTE, misfire)
    controller = Controller(schedule, ("bakery", "florist"), begin)
    now = begin
    for jump in jumps:
        now += jump * MINUTE
        controller.tick(now)

    each = Counter((site, slot.at) for _, site, slot in controller.log)
    assert set(each.values()) <= {1}
    assert all(slot.due > begin for _, _, slot in controller.log)


@settings(deadline=None, max_examples=60)
@given(CRONS, st.sampled_from(ZONES), INSTANTS, st.integers(0, 5000), st.integers(0, 5000))
def test_with_all_nothing_is_lost_however_long_the_break(cron, zone, begin, first, second):
    schedule = Schedule(cron, cron, zone, misfire="all")
    controller = Controller(schedule, ("bakery",), begin)
    end = begin + (first + second) * MINUTE

    controller.tick(begin + first * MINUTE)
    controller.tick(end)

    assert [slot.at for _, _, slot in controller.log] == list(moments(schedule, begin, end))


DAILY = Schedule("0 3 * * *", "daily")


def known(*days: int, since: str = "2026-11-01 00:00") -> Past:
    return Past(at(since, UTC), frozenset(at(f"2026-11-{day:02} 03:00", UTC) for day in days))


@pytest.mark.parametrize(
    ("misfire", "start", "missed"),
    [("latest", [20], 9), ("all", list(range(11, 21)), 0), ("skip", [], 10)],
)
def test_after_ten_days_off_misfire_says_what_is_made_up_for(misfire, start, missed):
    schedule = Schedule("0 3 * * *", "daily", misfire=misfire)

    found = due(schedule, NONE, known(10), at("2026-11-20 09:00", UTC))

    assert [slot.at.day for slot in found.start] == start
    assert len(found.missed) == missed


def test_a_slot_is_no_longer_fresh_after_the_grace():
    schedule = Schedule("0 3 * * *", "daily", misfire="skip")
    slot = at("2026-11-11 03:00", UTC)

    assert due(schedule, NONE, known(10), slot + GRACE).start
    assert not due(schedule, NONE, known(10), slot + GRACE + MINUTE).start


def test_a_schedule_that_was_never_seen_starts_nothing():
    assert due(DAILY, NONE, Past(), at("2026-11-20 09:00", UTC)).start == ()


def test_the_first_sight_of_a_schedule_starts_nothing_of_the_past():
    past = Past(at("2026-11-20 09:00", UTC))

    assert due(DAILY, NONE, past, at("2026-11-20 09:01", UTC)).start == ()
    assert [one.at.day for one in due(DAILY, NONE, past, at("2026-11-21 03:00", UTC)).start] == [21]


def test_a_clock_that_was_a_year_ahead_for_a_moment_silences_nothing():
    past = Past(at("2026-11-01 00:00", UTC), frozenset({at("2027-11-11 03:00", UTC)}))

    found = due(DAILY, NONE, past, at("2026-11-12 03:00", UTC))

    assert [slot.at for slot in found.start] == [at("2026-11-12 03:00", UTC)]


def test_the_next_start_is_the_waiting_one_or_the_first_to_come():
    morning = at("2026-11-20 09:00", UTC)

    assert upcoming(DAILY, NONE, known(19), morning).at == at("2026-11-20 03:00", UTC)
    assert upcoming(DAILY, NONE, known(20), morning).at == at("2026-11-21 03:00", UTC)
    assert upcoming(DAILY, HOUR, known(20), morning).due == at("2026-11-21 04:00", UTC)


def good(day: int, **more) -> Past:
    moment = at(f"2026-11-{day:02} 03:00", UTC)
    return Past(at("2026-11-01 00:00", UTC), frozenset({moment}), last_good=moment, **more)


@pytest.mark.parametrize(
    ("patience", "limit"),
    [(None, "2026-11-13 03:00"), (2 * HOUR, "2026-11-12 05:00"), (3 * DAY, "2026-11-15 03:00")],
)
def test_a_good_run_that_does_not_come_is_overdue_after_the_time_given(patience, limit):
    schedule = Schedule("0 3 * * *", "daily", overdue=patience)
    moment = at(limit, UTC)

    assert overdue_since(schedule, NONE, good(11), moment - MINUTE) is None
    assert overdue_since(schedule, NONE, good(11), moment) == moment


def test_a_quarterly_drill_is_overdue_after_a_day_not_after_another_quarter():
    past = Past(at("2026-11-01 00:00"))
    late = offset(DRILL, "drill", "bakery")

    found = overdue_since(DRILL, late, past, at("2027-01-05 00:00"))

    assert found == at("2027-01-01 03:00") + late + DAY


def test_a_failed_run_does_not_put_an_overdue_one_off():
    past = Past(
        at("2026-11-01 00:00", UTC), frozenset({at("2026-11-12 03:00", UTC)}),
        last_state="failed", last_good=at("2026-11-11 03:00", UTC),
    )  # fmt: skip

    assert overdue_since(DAILY, NONE, past, at("2026-11-13 04:00", UTC))


def test_what_was_never_seen_is_never_overdue():
    assert overdue_since(DAILY, NONE, Past(), at("2027-01-05 00:00")) is None
