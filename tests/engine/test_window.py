"""When a window is open: hours of clocks on the wall, days, holidays, and the days clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.core.playbook import Window
from opsplay.engine.window import closes, in_words, is_open, opens_next

PARIS = "Europe/Paris"
NIGHT = Window(22 * 60, 29 * 60, PARIS)
ZONES = (PARIS, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")


def at(text, zone=PARIS):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("moment", "open_"),
    [("2026-11-23T21:59", False), ("2026-11-23T22:00", True), ("2026-11-24T00:00", True),
     ("2026-11-24T04:59", True), ("2026-11-24T05:00", False), ("2026-11-24T12:00", False)],
)  # fmt: skip
def test_it_is_open_from_its_first_minute_until_before_its_last(moment, open_):
    assert is_open(NIGHT, at(moment)) is open_


def test_past_midnight_it_belongs_to_the_day_it_began_on():
    fridays = Window(22 * 60, 29 * 60, PARIS, days=(4,))

    assert is_open(fridays, at("2026-11-28T03:00"))  # Saturday morning
    assert not is_open(fridays, at("2026-11-27T03:00"))  # Friday morning
    assert opens_next(fridays, at("2026-11-28T06:00")) == at("2026-12-04T22:00")


def test_business_days_leave_out_public_holidays():
    business = Window(9 * 60, 17 * 60, PARIS, days=(0, 1, 2, 3, 4), holidays="FR")

    assert not is_open(business, at("2026-05-01T10:00"))  # Friday, but Labour Day
    assert not is_open(business, at("2026-05-02T10:00"))
    assert opens_next(business, at("2026-04-30T18:00")) == at("2026-05-04T09:00")


def test_a_part_of_a_country_has_holidays_of_its_own():
    bavaria = Window(0, 1440, "Europe/Berlin", holidays="DE-BY")
    germany = Window(0, 1440, "Europe/Berlin", holidays="DE")
    epiphany = at("2026-01-06T10:00", "Europe/Berlin")

    assert (is_open(bavaria, epiphany), is_open(germany, epiphany)) == (False, True)


def test_a_time_that_does_not_exist_stands_for_the_moment_clocks_jump():
    early = Window(150, 240, PARIS)  # 02:30-04:00; on 29 March 2026 02:00 is 03:00
    jump = datetime(2026, 3, 29, 1, tzinfo=UTC)

    assert opens_next(early, at("2026-03-29T00:00")) == jump
    assert not is_open(early, jump - timedelta(seconds=1))
    assert closes(early, jump) == datetime(2026, 3, 29, 2, tzinfo=UTC)


def test_a_window_that_ends_where_no_time_is_ends_when_clocks_jump():
    late = Window(22 * 60, 26 * 60 + 30, PARIS)

    assert closes(late, at("2026-03-28T23:00")) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_a_window_in_the_hour_that_is_left_out_does_not_open_that_day():
    lost = Window(130, 170, PARIS)

    assert opens_next(lost, at("2026-03-29T00:00")) == at("2026-03-30T02:10")


def test_a_time_that_comes_twice_is_the_first():
    early = Window(150, 165, PARIS)  # 02:30-02:45; on 25 October 2026 03:00 is 02:00
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    assert opens_next(early, at("2026-10-25T00:00")) == first
    assert not is_open(early, first + timedelta(hours=1))


def test_a_day_that_is_no_day_at_all_opens_nothing():
    apia = Window(600, 660, "Pacific/Apia")  # 30 December 2011 was left out there
    before = datetime(2011, 12, 30, 0, tzinfo=UTC)  # the 29th there

    assert opens_next(apia, before) == datetime(2011, 12, 30, 20, tzinfo=UTC)


def test_windows_that_touch_close_together():
    whole_days = Window(0, 1440, PARIS, days=(0, 1, 2))

    assert closes(whole_days, at("2026-11-23T08:00")) == at("2026-11-26T00:00")
    assert closes(Window(0, 1440, PARIS), at("2026-11-23T08:00")) is None


def test_a_window_that_never_opens_says_so():
    lost = Window(130, 170, PARIS, days=())

    assert opens_next(lost, at("2026-03-29T00:00")) is None
    assert "does not come" in in_words(lost, None)


TICK = timedelta(microseconds=1)


@st.composite
def windows(draw):
    opens = draw(st.integers(0, 1439))
    length = draw(st.integers(1, 1440))
    days = draw(st.sets(st.integers(0, 6), min_size=1))
    zone = draw(st.sampled_from(ZONES))
    return Window(opens, opens + length, zone, tuple(sorted(days)))


CHANGES = (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC),
           datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2011, 12, 30, 10, tzinfo=UTC))  # fmt: skip
"""Days on which clocks change somewhere in ZONES."""
MOMENTS = st.one_of(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    st.tuples(st.sampled_from(CHANGES), st.integers(-3 * 86400, 3 * 86400)).map(
        lambda pair: pair[0] + timedelta(seconds=pair[1])
    ),
)


@given(windows(), MOMENTS, st.floats(0, 1, exclude_max=True))
@settings(max_examples=150, deadline=None)
def test_it_is_open_when_it_opens_and_at_no_moment_before_that(window, now, part):
    opens = opens_next(window, now)

    assert opens is not None
    assert opens >= now
    assert is_open(window, opens)
    if opens > now:
        assert not is_open(window, min(now + (opens - now) * part, opens - TICK))
        assert not is_open(window, opens - TICK)


@given(windows(), MOMENTS, st.floats(0, 1, exclude_max=True))
@settings(max_examples=150, deadline=None)
def test_once_open_it_stays_open_until_it_closes(window, now, part):
    end = closes(window, now)

    if end is None:
        assert is_open(window, now + timedelta(days=300 * part))
    elif end > now:
        assert is_open(window, min(now + (end - now) * part, end - TICK))
        assert not is_open(window, end)
    else:
        assert not is_open(window, now)


@given(windows(), MOMENTS)
@settings(max_examples=100, deadline=None)
def test_away_from_changing_clocks_it_is_open_just_at_its_hours(window, now):
    zone = ZoneInfo(window.timezone)
    wall = now.astimezone(zone)
    steady = {
        (now + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in range(-49, 50, 1)
    }
    if len(steady) > 1:
        return
    minutes = wall.hour * 60 + wall.minute
    today = wall.weekday() in window.days and window.opens <= minutes < window.closes
    before = (wall.weekday() - 1) % 7 in window.days and minutes + 1440 < window.closes

    assert is_open(window, now) == (today or before)
