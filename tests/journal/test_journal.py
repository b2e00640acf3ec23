"""The journal keeps every event, in order, and shows when somebody touched them.

Each promise is kept by both stores: the file and PostgreSQL.
"""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsplay.core.errors import OpsplayError
from opsplay.journal import Journal, open_journal
from opsplay.kit.clock import FrozenClock
from opsplay.kit.secret import Redactor

START = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)


@pytest.fixture
def journal(opened):
    return opened()


def tamper(place, statements):
    """Do something to the events that the journal itself would never do."""
    if isinstance(place, Path):
        with sqlite3.connect(place) as other:
            for statement in statements:
                other.execute(statement)
        other.close()
        return
    import psycopg

    with psycopg.connect(place, options="-c search_path=opsplay") as other:
        for statement in statements:
            other.execute(statement)


def unlock(place):
    if isinstance(place, Path):
        return [f"DROP TRIGGER events_are_not_{word}" for word in ("edited", "removed")]
    return ["ALTER TABLE events DISABLE TRIGGER USER"]


def filled(journal):
    journal.append("run-1", "run_started", "", {"playbook": "Update", "sites": ["bakery"]})
    journal.append("run-1", "site_started", "bakery", {"pending": True})
    journal.append("run-1", "site_finished", "bakery", {"state": "ok"})
    journal.append("run-1", "run_finished", "", {"state": "ok", "exit_status": 0})
    return journal


def test_events_come_back_as_they_were_written(journal):
    written = [
        journal.append("run-1", "run_started", "", {"sites": ["a", "b"], "text": "é\n"}),
        journal.append("run-1", "site_started", "a", {"pending": False, "seconds": 0.25}),
    ]

    assert list(journal.events("run-1")) == written
    assert journal.verify() is None


@pytest.mark.parametrize(
    "damage",
    [
        'UPDATE events SET data = \'{"state":"failed"}\' WHERE sequence = 3',
        "UPDATE events SET at = '2026-11-23T05:00:00+00:00' WHERE sequence = 2",
        "UPDATE events SET site = 'florist' WHERE sequence = 2",
        "UPDATE events SET kind = 'baseline' WHERE sequence = 2",
        "UPDATE events SET hash = previous WHERE sequence = 4",
        "DELETE FROM events WHERE sequence = 2",
        "UPDATE events SET sequence = sequence + 10 WHERE sequence = 4",
    ],
)
def test_an_edited_journal_says_where(journal, place, damage):
    filled(journal)
    tamper(place, [*unlock(place), damage])

    broken = journal.verify()

    assert broken is not None
    assert broken.sequence >= 2


@pytest.mark.parametrize("damage", ["UPDATE events SET data = '{}'", "DELETE FROM events"])
def test_the_database_itself_refuses_to_edit_or_remove(journal, place, damage):
    filled(journal)

    with pytest.raises(Exception, match="append-only"):
        tamper(place, [damage])

    assert len(journal.events()) == 4


def test_many_threads_write_one_chain(journal):
    def write(name):
        for number in range(25):
            journal.append("run-1", "retry", name, {"attempt": number})

    threads = [threading.Thread(target=write, args=(f"site-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(journal.events()) == 150
    assert journal.verify() is None


def test_two_processes_write_one_chain(journal, opened):
    other = opened()

    for number in range(10):
        (journal if number % 2 else other).append("run-1", "retry", "", {"attempt": number})

    assert journal.verify() is None


def test_a_secret_never_reaches_the_disk(opened):
    secret = "pa'ss\"wörd\\with everything"
    journal = opened(Redactor([secret]))

    journal.append("run-1", "result", "a", {"detail": f"said {secret}!", "facts": {"x": [secret]}})

    kept = "".join(str(row) for row in journal.store.rows("", 0, ()))
    assert "everything" not in kept
    assert "•••" in kept


def test_runs_are_listed_with_how_they_ended(journal):
    filled(journal)
    journal.append("run-2", "run_started", "", {"playbook": "Backup", "sites": ["florist"]})

    first, second = journal.runs()

    assert (first.run, first.state, first.exit_status) == ("run-1", "ok", 0)
    assert (second.run, second.state, second.exit_status) == ("run-2", "unfinished", None)
    assert journal.resolve("last") == "run-2"
    assert journal.resolve("run-1") == "run-1"


@pytest.mark.parametrize(("name", "reason"), [("run-", "more than one"), ("nope", "not known")])
def test_an_unclear_run_name_is_an_error_with_a_way_on(journal, name, reason):
    filled(journal)
    journal.append("run-2", "run_started", "", {"playbook": "Backup", "sites": []})

    with pytest.raises(OpsplayError, match=reason) as caught:
        journal.resolve(name)

    assert caught.value.next_command == "invoke logs"


def test_listeners_hear_each_event_after_it_is_on_disk(journal):
    heard = []
    journal.subscribe(lambda event: heard.append((event.kind, len(journal.events()))))

    filled(journal)

    assert heard[0] == ("run_started", 1)
    assert heard[-1] == ("run_finished", 4)


def test_a_journal_that_cannot_be_opened_says_what_to_look_at(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"this is not a database at all, it is a text" * 50)

    with pytest.raises(OpsplayError, match="could not be opened") as caught:
        open_journal(tmp_path / "journal.db", FrozenClock(START))

    assert "ls -l" in caught.value.next_command


def test_a_file_journal_keeps_no_secret_beside_the_table(tmp_path):
    journal = Journal(tmp_path / "journal.db", FrozenClock(START), Redactor(["canary-of-all"]))

    journal.append("run-1", "result", "a", {"detail": "said canary-of-all"})

    assert b"canary-of-all" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    journal.close()


def test_events_can_be_asked_for_by_kind(journal):
    filled(journal)

    found = journal.events("run-1", kinds=("run_started", "run_finished"), after=1)

    assert [event.kind for event in found] == ["run_finished"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
            max_leaves=8,
        ),
    )
)
def test_whatever_json_can_say_the_chain_holds(journal, data):
    event = journal.append("run", "result", "a", data)

    assert journal.events("run")[-1] == event
    assert journal.verify() is None
