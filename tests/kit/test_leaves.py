"""Identifiers, clocks and secrets keep their promises."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from opsplay.kit import ids, shell
from opsplay.kit.clock import FrozenClock, SystemClock
from opsplay.kit.secret import DOTS, Redactor, Secret

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_run_ids_sort_by_time(one: int, other: int):
    first, second = (ids.run_id(NOON + timedelta(seconds=at)) for at in (one, other))

    assert one == other or (first < second) == (one < other)


def test_a_run_id_is_in_utc_and_safe_in_paths_and_shell_words():
    paris = NOON.astimezone(timezone(timedelta(hours=1)))

    identifier = ids.run_id(paris)

    assert re.fullmatch(r"20261122T120000-[0-9a-f]{6}", identifier)
    assert shell.quote(identifier) == identifier


def test_identifiers_and_tokens_differ_each_time():
    assert len({ids.token() for _ in range(100)}) == 100
    assert len(ids.token()) == 32
    assert ids.run_id(NOON) != ids.run_id(NOON)


def test_a_frozen_clock_moves_when_somebody_sleeps():
    clock = FrozenClock(NOON)
    before = clock.monotonic()
    clock.sleep(90)

    assert clock.now() == NOON + timedelta(seconds=90)
    assert clock.monotonic() - before == 90


def test_the_system_clock_is_aware_and_an_interrupt_ends_every_sleep():
    clock = SystemClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    threading.Timer(0.1, clock.interrupt).start()
    start = clock.monotonic()
    clock.sleep(30)
    clock.sleep(30)

    assert clock.monotonic() - start < 10
    assert clock.monotonic() <= time.monotonic()


def test_a_secret_prints_as_dots_and_comes_out_on_demand_only():
    fetched: list[str] = []

    def fetch(reference: str) -> str:
        fetched.append(reference)
        return "canary"

    secret = Secret("env:KEY", fetch)

    assert f"{secret} {secret!r} {[secret]} {secret:}" == (
        f"{DOTS} Secret('env:KEY') [Secret('env:KEY')] {DOTS}"
    )
    assert fetched == []
    assert secret.reveal() == "canary"
    assert fetched == ["env:KEY"]
    assert secret == Secret("env:KEY", str)


def test_the_longest_secret_is_hidden_first():
    redactor = Redactor(["pass", "password-long"])

    assert redactor.clean("a password-long, a pass") == f"a {DOTS}, a {DOTS}"


def test_short_values_are_not_hidden_and_later_ones_are_learnt():
    redactor = Redactor(["yes", ""])
    assert redactor.clean("yes, canary") == "yes, canary"
    redactor.learn("canary")

    assert redactor.clean("yes, canary") == f"yes, {DOTS}"


@given(st.lists(st.text(min_size=4), max_size=4), st.text(), st.text())
def test_no_known_value_survives_cleaning(values: list[str], before: str, after: str):
    cleaned = Redactor(values).clean(before + "".join(values) + after)

    if not any(DOTS[0] in value for value in values):
        assert not any(value in cleaned for value in values)
