"""1,000 simulated days against a simple model: never fewer than promised, nothing longer."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsplay.core.errors import InvalidInput
from opsplay.core.retention import (
    PLANS,
    PROVED,
    SETTLED,
    Held,
    Plan,
    expirable,
    fates,
    kept,
    locked_until,
    months_later,
    plan_named,
    verdict_locked_until,
)

DAYS = 1000
ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "10"))
START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
FILES, BOTH = frozenset({"files"}), frozenset({"database", "files"})
CONTRACT = plan_named("critique", years=2)


def held(days_ago: float, now: datetime = START, **changes) -> Held:
    stored = now - timedelta(days=days_ago)
    usual = {"parts": BOTH, "full": False, "environment": "production", "verified": 2}
    return Held(**({"key": f"k{stored:%Y%m%d%H%M%S%f}", "stored": stored} | usual | changes))


@dataclass
class World:
    """A site, its vault, and what a simple mind would expect of it."""

    plan: Plan
    chance: Random
    now: datetime = START
    ever: list[Held] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def live(self, days: int) -> None:
        for _ in range(days):
            self.now += timedelta(days=1, minutes=self.chance.randint(-90, 90))
            if self.chance.random() < 0.9:
                self.back_up()
            if self.chance.random() < 0.6:
                self.verify_newest()
            if self.chance.random() < 0.01:
                self.find_damage()
            if self.chance.random() < 0.2:
                self.expire()

    def back_up(self) -> None:
        month = [one for one in self.ever if one.stored.month == self.now.month]
        month = [one for one in month if one.stored.year == self.now.year]
        first = not any(one.parts == BOTH and one.full for one in month)
        only_database = self.chance.random() < 0.1
        one = Held(
            key=f"{len(self.ever):05d}",
            environment="production",
            parts=frozenset({"database"}) if only_database else BOTH,
            full=only_database or first or self.chance.random() < 0.02,
            stored=self.now,
            lock=locked_until(
                self.plan, self.now - timedelta(minutes=20), full=first and not only_database
            ),
        )
        self.ever.append(one)
        self.held.append(one)

    def verify_newest(self) -> None:
        if self.held:
            self._change(self.held[-1], verified=self.chance.choice([1, 2, 2, 2, 4]))

    def find_damage(self) -> None:
        if self.held:
            self._change(self.chance.choice(self.held), good=False, verified=0)

    def _change(self, one: Held, **changes) -> None:
        changed = replace(one, **changes)
        self.held = [changed if it.key == one.key else it for it in self.held]
        self.ever = [changed if it.key == one.key else it for it in self.ever]

    def expire(self) -> None:
        before = list(self.held)
        gone = expirable(self.held, self.plan, self.now)
        self.held = [one for one in self.held if one not in gone]
        self.nothing_is_missing(before)
        self.nothing_stays_too_long()

    def nothing_is_missing(self, before: list[Held]) -> None:
        """Compare with the promise in plain words, over all that was ever made."""
        there = {one.key for one in self.held}
        for one in self.ever:
            young = self.now - one.stored < timedelta(days=self.plan.daily)
            assert one.key in there or not young, "each backup stays for its days"
            assert one.key in there or one.lock <= self.now, "a lock is a promise"
        for period, count, end in (
            ("%Y-%m", self.plan.monthly, months_later),
            ("%Y", self.plan.yearly * 12, months_later),
        ):
            for name in {f"{one.stored:{period}}" for one in before} if count else ():
                of_it = [one for one in before if f"{one.stored:{period}}" == name and one.full]
                best = [one for one in of_it if one.good and one.parts == BOTH]
                due = [one for one in best[:1] if end(one.stored, count) > self.now]
                assert all(one.key in there for one in due), f"the first of {name} stays"
        good = [one for one in self.ever if one.good and one.parts == BOTH]
        left = [one for one in self.held if one.good and one.parts == BOTH]
        assert len(left) >= min(self.plan.least, len(good)), "three good ones always stay"

    def nothing_stays_too_long(self) -> None:
        for one in self.held:
            if self.plan.longest(one.stored) < self.now:
                assert self.newer_ones(one) < self.plan.least, "nothing outlives the plan"
            if self.may_go(one):
                pytest.fail(f"{one} stays for no reason")

    def newer_ones(self, one: Held) -> int:
        newer = [
            other.stored.date()
            for other in self.held
            if other.stored > one.stored and other.good and other.verified >= PROVED
            if self.now - other.stored >= SETTLED and other.parts >= one.parts
        ]
        return len(set(newer))

    def may_go(self, one: Held) -> bool:
        ends = [one.stored + timedelta(days=max(self.plan.daily, self.plan.weekly * 7)), one.lock]
        if one.full:
            ends.append(months_later(one.stored, self.plan.monthly))
        if one.full and not any(
            other.full and other.stored.year == one.stored.year and other.stored < one.stored
            and other.good and other.parts == BOTH for other in self.held
        ):  # fmt: skip
            ends.append(months_later(one.stored, self.plan.yearly * 12))
        return max(ends) <= self.now and self.newer_ones(one) >= self.plan.least


@pytest.mark.parametrize(
    "days",
    [150, pytest.param(DAYS, marks=[pytest.mark.proof, pytest.mark.timeout(120 + 30 * ROUNDS)])],
)
@settings(max_examples=max(5, ROUNDS), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), plan=st.sampled_from([*PLANS.values(), CONTRACT]))
def test_days_of_backups_keep_what_is_promised_and_nothing_longer(days: int, seed: int, plan: Plan):
    world = World(plan, Random(seed))

    world.live(days)

    world.expire()
    assert len(world.held) < 130, "rotation keeps up"


@cache
def _lived(seed: int, days: int) -> World:
    world = World(plan_named("business"), Random(seed))
    world.live(days)
    return world


@given(st.integers(0, 1), st.lists(st.integers(0, 6 * 24), max_size=60), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_flood_of_garbage_pushes_out_no_good_backup(seed: int, hours: list[int], proved: bool):
    """Whatever a hacked host saves within a week, whatever it says of itself."""
    world = _lived(seed, 110)
    flood = [
        Held(
            key=f"z{number}",
            environment="production",
            parts=BOTH,
            full=bool(number % 2),
            stored=world.now - timedelta(hours=hour),
            verified=4 if proved else 0,
        )
        for number, hour in enumerate(hours)
    ]

    before = set(expirable(world.held, world.plan, world.now))
    after = set(expirable([*world.held, *flood], world.plan, world.now))

    assert not [one for one in after - before if one.good]


def test_a_suspect_freezes_the_older_ones_until_somebody_gives_their_word():
    old = [held(days) for days in (50, 45, 40)]
    newer = [held(days) for days in (34, 30, 20, 10)]
    suspect = held(33, suspect=True)

    frozen = kept([*old, suspect, *newer], PLANS["essentiel"], START)
    cleared = expirable([*old, replace(suspect, suspect=False), *newer], PLANS["essentiel"], START)

    assert all("suspect" in frozen[one.key] for one in old)
    assert list(cleared) == old


def test_not_even_a_suspect_freezes_longer_than_the_plan():
    plan = PLANS["essentiel"]
    old, suspect = held(120), held(33, suspect=True)
    newer = [held(days) for days in (30, 20, 10)]

    assert expirable([old, suspect, *newer], plan, START) == (old,)


def test_what_is_locked_stays_whatever_else():
    lock = START + timedelta(days=1)
    locked = held(400, lock=lock)
    newer = [held(days) for days in (30, 20, 10)]

    (fate, *_) = fates([locked, *newer], PLANS["essentiel"], START)

    assert (fate.stays, fate.until) == (True, lock)


@pytest.mark.parametrize(
    "changes",
    [
        {"verified": 1},
        {"good": False},
        {"suspect": True},
        {"environment": "staging"},
        {"parts": frozenset({"database"})},
    ],
)
def test_only_newer_good_ones_of_the_same_kind_let_an_older_one_go(changes):
    old = held(200, good=True)
    newer = [held(days, **changes) for days in (30, 20, 10)]

    assert old not in expirable([old, *newer], PLANS["essentiel"], START)


def test_three_of_one_day_count_once():
    old = held(200)
    same_day = [held(20 + hour / 48) for hour in range(3)]

    assert expirable([old, *same_day], PLANS["essentiel"], START) == ()


def test_names_and_dates_of_the_future_change_nothing():
    """`stored` is the storage's word; a manifest may say what it likes."""
    old = [held(days, key=f"2099-{days}") for days in (40, 39, 38)]
    newer = [held(days) for days in (30, 20, 10)]

    assert list(expirable([*newer, *old], plan_named("essentiel"), START)) == old


def test_the_first_full_one_of_a_month_stays_for_months():
    now = datetime(2027, 3, 1, tzinfo=UTC)
    month = [held(days, now, full=days == 89) for days in range(89, 60, -1)]
    newer = [held(days, now) for days in (30, 20, 10)]

    left = kept([*month, *newer], PLANS["essentiel"], now)

    assert [one.key for one in month if one.key in left] == [month[0].key]


def test_a_damaged_first_one_is_not_the_one_that_a_month_keeps():
    now = datetime(2027, 3, 1, tzinfo=UTC)
    broken, second = held(88, now, full=True, good=False), held(80, now, full=True)
    newer = [held(days, now) for days in (30, 20, 10)]

    assert expirable([broken, second, *newer], PLANS["essentiel"], now) == (broken,)


def test_locks_by_what_an_object_is_for():
    plan, began = PLANS["business"], datetime(2026, 11, 22, 5, 31, tzinfo=UTC)

    assert locked_until(plan, began, full=False) == began + timedelta(days=35)
    assert locked_until(plan, began, full=False, packs=True) == datetime(2027, 1, 26, tzinfo=UTC)
    assert locked_until(plan, began, full=True) == datetime(2027, 12, 22, 5, 31, tzinfo=UTC)
    essentiel = locked_until(PLANS["essentiel"], began, full=False, packs=True)
    assert essentiel == datetime(2027, 1, 5, tzinfo=UTC)


def test_a_contract_keeps_each_years_first_for_years_and_locks_none_for_longer_than_13_months():
    january = datetime(2027, 1, 1, 3, tzinfo=UTC)
    contract = plan_named("essentiel", years=5)
    first = held(0, january, full=True, lock=locked_until(contract, january, full=True))
    now = months_later(january, 59)
    newer = [held(days, now) for days in (30, 20, 10)]

    assert first.lock == months_later(january, 13)
    assert kept([first, *newer], contract, now)[first.key] == "it is the first of its year"
    assert expirable([first, *newer], contract, months_later(january, 60)) == (first,)
    february = january + timedelta(days=31)
    assert locked_until(contract, february, full=True) == months_later(february, 3)


def test_a_verdict_is_locked_as_its_backup_and_no_longer_than_it_may_be_superseded():
    day = timedelta(days=1)

    assert verdict_locked_until(START, START + 9 * day) == START + 9 * day
    assert verdict_locked_until(START, START + 400 * day) == START + 35 * day
    assert verdict_locked_until(START, START - day) is None
    assert verdict_locked_until(START, None) is None


@given(st.integers(0, 20 * 365 * 24 * 60), st.sampled_from([*PLANS.values(), CONTRACT]))
def test_no_lock_outlives_its_plan(minutes: int, plan: Plan):
    began = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    month_end = months_later(began.replace(day=1, hour=0, minute=0, second=0, microsecond=0), 1)

    for full in (True, False):
        for packs in (True, False):
            lock = locked_until(plan, began, full=full, packs=packs)

            assert began + timedelta(days=plan.daily) <= lock
            assert lock <= max(plan.longest(began), plan.longest(month_end))


def test_an_unknown_plan_is_named():
    with pytest.raises(InvalidInput, match="no plan 'gold'"):
        plan_named("gold")
