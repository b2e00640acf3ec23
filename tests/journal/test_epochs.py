"""Events that belong together are written together, and only by who carries the run out."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from opsplay.core.errors import ExitStatus, Fenced, Locked
from opsplay.journal import Journal
from opsplay.kit.clock import FrozenClock

START = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)


@pytest.fixture
def two(opened):
    return opened(), opened()


def test_events_of_one_batch_are_one_transaction(tmp_path):
    journal = Journal(tmp_path / "journal.db", FrozenClock(START))
    statements = []
    journal.store._db.set_trace_callback(statements.append)

    events = journal.append_all(
        "run-1", [("run_started", "", {"sites": ["a"]}), ("site_started", "a", {})]
    )

    assert [line for line in statements if line.startswith(("BEGIN", "COMMIT"))] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert events == journal.events("run-1")
    journal.close()


def test_of_a_batch_that_cannot_be_written_nothing_is(two):
    journal, other = two
    journal.append("run-1", "run_started")
    heard = []
    journal.subscribe(heard.append)

    with pytest.raises(UnicodeEncodeError):
        journal.append_all(
            "run-1", [("site_started", "good", {}), ("site_started", "bad", {"x": "\ud800"})]
        )
    journal.append("run-1", "site_started", "next")

    assert [event.site for event in other.events()] == ["", "next"]
    assert [event.site for event in heard] == ["next"]


def test_a_claim_that_is_refused_leaves_nothing(two):
    journal, other = two

    def refuse(_cursor):
        raise Locked("somebody else is at work on it", site="bakery")

    with pytest.raises(Locked):
        journal.append_all("run-1", [("run_started", "", {})], claim=refuse)

    assert other.events() == ()
    assert journal.append("run-1", "run_started").sequence == 1


def test_an_empty_batch_writes_nothing(two):
    assert two[0].append_all("run-1", []) == ()
    assert two[0].events() == ()


def test_listeners_hear_a_batch_in_order_once_it_is_on_disk(two):
    journal, other = two
    heard = []
    journal.subscribe(lambda event: heard.append((event.kind, len(other.events()))))

    journal.append_all("run-1", [("run_started", "", {}), ("site_started", "a", {})])

    assert heard == [("run_started", 2), ("site_started", 2)]


def test_who_was_overtaken_writes_nothing_more(two):
    zombie, heir = two
    zombie.append("run-1", "run_started")
    heir.append("run-1", "run_resumed")

    with pytest.raises(Fenced, match="taken over") as caught:
        zombie.append_all("run-1", [("site_started", "a", {}), ("intent", "a", {})])

    assert caught.value.exit_status == ExitStatus.LOCKED
    assert "invoke logs run-1" in caught.value.next_command
    assert [event.kind for event in heir.events()] == ["run_started", "run_resumed"]
    assert heir.append("run-1", "site_started", "a").sequence == 3


def test_who_takes_a_run_back_may_write_again(two):
    first, second = two
    first.append("run-1", "run_started")
    second.append("run-1", "run_resumed")
    first.append("run-1", "run_resumed")

    first.append("run-1", "site_started", "a")

    with pytest.raises(Fenced):
        second.append("run-1", "site_started", "a")


def test_other_runs_and_bystanders_are_not_fenced(two, opened):
    first, second = two
    first.append("run-1", "run_started")
    second.append("run-1", "run_resumed")

    first.append("run-2", "run_started")
    first.append("run-2", "site_started", "a")
    opened().append("run-1", "retry", "", {"host": "web1"})

    assert [first.epoch(run) for run in ("run-1", "run-2", "run-3")] == [2, 3, 0]


def test_a_journal_of_an_older_opsplay_is_fenced_as_well(tmp_path):
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE events (sequence INTEGER PRIMARY KEY, run TEXT NOT NULL, at TEXT NOT NULL,"
            " kind TEXT NOT NULL, site TEXT NOT NULL, data TEXT NOT NULL, previous TEXT NOT NULL,"
            " hash TEXT NOT NULL)"
        )
    old.close()
    journal = Journal(path, FrozenClock(START))

    journal.append("run-1", "run_started")

    assert journal.epoch("run-1") == 1
    journal.close()
