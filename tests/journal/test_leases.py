"""A site is in one pair of hands, and the hands of the dead are empty."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from tests.journal.conftest import START

from opsplay.core.errors import Fenced, Locked
from opsplay.journal import open_journal
from opsplay.journal.leases import Holder, Leases
from opsplay.kit.clock import FrozenClock

pytestmark = pytest.mark.real


@pytest.fixture
def url(database_server):
    return database_server.emptied()


@pytest.fixture
def journal(url):
    journal = open_journal(url, FrozenClock(START))
    yield journal
    journal.close()


@pytest.fixture
def leases(journal):
    return Leases(journal.store)


def holder(name, *, serves=True):
    return Holder(name, name, "mill", 4711, timedelta(seconds=60), serves)


@pytest.fixture
def one(leases):
    made = holder("one")
    leases.enter(made)
    return made


@pytest.fixture
def two(leases):
    made = holder("two")
    leases.enter(made)
    return made


def dies(url, name):
    """Let a holder be silent for longer than its patience."""
    with psycopg.connect(url) as other:
        other.execute(
            "UPDATE opsplay.workers SET seen = now() - interval '61 s' WHERE id = %s", (name,)
        )


def submitted(journal, run, *sites):
    journal.append(run, "run_started", "", {"sites": list(sites), "submitted": True})


def begins(journal, leases, who, run, *sites, submitted=True):
    claim = leases.claim(who, run, sites, submitted=submitted)
    return journal.append_all(run, [("run_resumed", "", {})], claim=claim)[0].sequence


def test_a_site_is_held_by_one_run_at_a_time(journal, leases, one, two):
    begins(journal, leases, one, "run-1", "bakery")

    with pytest.raises(Locked, match="one on mill is at work on run run-1") as caught:
        begins(journal, leases, two, "run-2", "bakery")

    assert caught.value.site == "bakery"
    assert [event.run for event in journal.events()] == ["run-1"]
    begins(journal, leases, two, "run-3", "florist")


def test_not_even_the_same_worker_takes_a_site_twice(journal, leases, one):
    begins(journal, leases, one, "run-1", "bakery")

    for run in ("run-1", "run-2"):
        with pytest.raises(Locked):
            begins(journal, leases, one, run, "bakery")


def test_a_run_has_all_its_sites_or_none(journal, leases, one, two):
    begins(journal, leases, one, "run-1", "bakery")

    with pytest.raises(Locked):
        begins(journal, leases, two, "run-2", "atelier", "bakery", "florist")

    begins(journal, leases, two, "run-3", "atelier", "florist")


def test_what_was_given_back_can_be_taken(journal, leases, one, two):
    begins(journal, leases, one, "run-1", "bakery")
    leases.give_back(one, "run-1")

    begins(journal, leases, two, "run-2", "bakery")


def test_the_run_of_a_dead_worker_is_taken_over_and_its_holder_fenced(
    journal, url, leases, one, two
):
    zombie = open_journal(url, FrozenClock(START))
    begins(zombie, leases, one, "run-1", "bakery")
    dies(url, "one")

    epoch = begins(journal, leases, two, "run-1", "bakery")

    assert journal.epoch("run-1") == epoch
    with pytest.raises(Fenced):
        zombie.append("run-1", "site_started", "bakery")
    leases.give_back(one, "run-1")  # what it no longer has
    assert [seen.runs[0].run for seen in leases.seen() if seen.runs] == ["run-1"]
    zombie.close()


def test_a_run_cut_short_goes_before_others_on_its_site(journal, url, leases, one, two):
    submitted(journal, "run-1", "bakery")
    begins(journal, leases, one, "run-1", "bakery")
    dies(url, "one")

    with pytest.raises(Locked, match="cut short here") as caught:
        begins(journal, leases, two, "run-2", "bakery")

    assert "resume run-1" in caught.value.next_command


def test_a_run_that_ended_before_its_holder_died_is_in_nobodys_way(journal, url, leases, one, two):
    begins(journal, leases, one, "run-1", "bakery")
    journal.append("run-1", "run_finished", "", {"state": "ok", "exit_status": 0, "waiting": []})
    dies(url, "one")

    begins(journal, leases, two, "run-2", "bakery")


def test_a_command_that_died_is_in_nobodys_way(journal, url, leases, two):
    leases.enter(command := holder("command", serves=False))
    begins(journal, leases, command, "run-1", "bakery", submitted=False)
    dies(url, "command")

    begins(journal, leases, two, "run-2", "bakery")


def test_workers_do_not_begin_what_has_ended_but_a_person_may(journal, leases, one):
    submitted(journal, "run-1", "bakery")
    journal.append(
        "run-1", "run_finished", "", {"state": "failed", "exit_status": 1, "waiting": []}
    )

    with pytest.raises(Locked, match="has ended"):
        begins(journal, leases, one, "run-1", "bakery")

    leases.enter(command := holder("command", serves=False))
    begins(journal, leases, command, "run-1", "bakery")


def test_a_run_that_waits_has_not_ended(journal, leases, one):
    submitted(journal, "run-1", "bakery")
    end = {"state": "waiting", "exit_status": 5, "waiting": [{"site": "bakery"}]}
    journal.append("run-1", "run_finished", "", end)

    begins(journal, leases, one, "run-1", "bakery")


def test_orphans_are_what_no_living_process_is_at_work_on(journal, url, leases, one, two):
    for number in (1, 2, 3, 4):
        submitted(journal, f"run-{number}", f"site-{number}")
    begins(journal, leases, one, "run-1", "site-1")
    begins(journal, leases, two, "run-2", "site-2")
    journal.append("run-3", "run_finished", "", {"state": "ok", "exit_status": 0})
    dies(url, "one")

    assert leases.orphans() == ("run-1", "run-4")


def test_a_sign_of_life_wakes_the_dead_and_lets_go_of_what_is_not_done_any_more(
    journal, url, leases, one
):
    begins(journal, leases, one, "run-1", "bakery")
    begins(journal, leases, one, "run-2", "florist")
    dies(url, "one")

    leases.beat(one, {"run-2"})

    (seen,) = leases.seen()
    assert seen.alive
    assert [(held.run, held.sites) for held in seen.runs] == [("run-2", ("florist",))]


def test_a_name_is_for_one_living_worker(url, leases):
    leases.enter(holder("one"))
    twin = Holder("other", "one", "barn", 1, timedelta(seconds=60), serves=True)

    with pytest.raises(Locked, match="a worker called one is at work already"):
        leases.enter(twin)

    dies(url, "one")
    leases.enter(twin)


def test_who_left_is_not_seen_and_holds_nothing(journal, leases, one, two):
    begins(journal, leases, one, "run-1", "bakery")

    leases.leave(one)

    assert [seen.name for seen in leases.seen()] == ["two"]
    begins(journal, leases, two, "run-2", "bakery")
