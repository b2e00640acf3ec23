"""A promise of drills is kept, or it is an alarm; and a certificate is believed only if it is ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backup.shelf import STRANGER, TRUSTED, Keeper

from opsplay.core.drill_promise import DrillPromise
from opsplay.core.retention import plan_named
from opsplay.engine.drill_last import last_success

LAST = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = {"week": 7, "month": 30, "quarter": 90, "year": 365}
"""What each word is at least; November has 30 days, the quarter after it 90."""


@pytest.mark.parametrize("every", DAYS)
def test_a_drill_is_overdue_a_day_after_it_was_promised(every: str):
    promise = DrillPromise(every, LAST, None)

    assert not promise.overdue(LAST + (DAYS[every] + 1) * DAY)
    assert promise.overdue(LAST + (DAYS[every] + 1) * DAY + timedelta(seconds=1))


@given(
    st.sampled_from([*DAYS]),
    st.integers(0, 20 * 365 * 24),
    st.integers(0, 500),
)
def test_no_promise_is_broken_early_nor_forgotten(every: str, hours: int, days: int):
    last = LAST + timedelta(hours=hours)
    overdue = DrillPromise(every, last, None).overdue(last + days * DAY)

    assert not (overdue and days < DAYS[every] - 2), "February is two days short"
    assert overdue or days <= DAYS[every] + 4


def test_without_any_drill_the_first_backup_counts_and_one_nobody_remembers_is_long_ago():
    assert not DrillPromise("month", None, LAST).overdue(LAST + 30 * DAY)
    assert DrillPromise("month", None, LAST).overdue(LAST + 32 * DAY)
    assert DrillPromise("year", None, None).overdue(LAST)


def test_it_is_told_in_days():
    def told(days: float) -> str:
        return DrillPromise("quarter", LAST, LAST).told(LAST + days * DAY)

    assert told(120.5) == "last successful drill 120 days ago, promised every quarter"
    assert told(1) == "last successful drill yesterday, promised every quarter"
    assert told(0.2) == "last successful drill today, promised every quarter"
    never = DrillPromise("week", None, LAST).told(LAST)
    assert never == "no successful drill yet, promised every week"


def last(keeper: Keeper) -> datetime | None:
    return last_success(keeper.vault, keeper.known(), TRUSTED)


def test_only_our_own_certificates_of_this_site_that_say_successful_count():
    keeper = Keeper()
    snapshot = keeper.back_up()
    assert last(keeper) is None
    good = keeper.certify(snapshot)
    at = keeper.clock.now()

    keeper.pass_days(1)
    keeper.certify(snapshot, "FAILED")
    keeper.pass_days(1)
    keeper.certify(snapshot, signer=STRANGER)
    keeper.pass_days(1)
    keeper.certify(snapshot, site="florist")
    for end in ("", ".sig"):
        again = good.replace("-L4-2026", "-L4-2027")
        keeper.vault.put(again + end, b"".join(keeper.vault.get(good + end)))

    assert last(keeper) == at, "stored again under a later name it is no younger"


def test_a_certificate_outlives_its_backup_by_more_than_a_year():
    keeper = Keeper(plan_named("essentiel"))
    keeper.back_up()
    tried = keeper.back_up()
    key, at = keeper.certify(tried), keeper.clock.now()
    keeper.pass_days(40)
    for _ in range(3):
        keeper.verify(keeper.back_up())
        keeper.pass_days(1)
    keeper.pass_days(21)

    done = keeper.expire()

    assert tried.snap in done.backups
    assert last(keeper) == at
    keeper.pass_days(400)
    keeper.expire()
    assert keeper.vault.head(key) is None
    assert last(keeper) is None
