"""What only a server can do to a journal: go away, in the middle of a write."""

from __future__ import annotations

import sys
from functools import partialmethod

import psycopg
import pytest
from tests.journal.conftest import START

from opsplay.core.errors import Fenced, OpsplayError
from opsplay.journal import open_journal
from opsplay.journal.postgres import PostgresStore, shown
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


def cut(journal):
    """End the server's side of the journal's connection."""
    pid = journal.store._connection.info.backend_pid
    with psycopg.connect(journal.store.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_connection_cut_between_two_events_is_opened_again(journal):
    journal.append("run-1", "run_started")
    cut(journal)

    journal.append("run-1", "site_started", "a")

    assert [event.sequence for event in journal.events()] == [1, 2]


def test_a_connection_cut_before_the_commit_leads_to_one_event(journal):
    cuts = []

    def cut_once(_cursor):
        if not cuts:
            cuts.append(1)
            cut(journal)

    journal.append_all("run-1", [("run_started", "", {})], claim=cut_once)

    assert cuts == [1]
    assert [event.kind for event in journal.events()] == ["run_started"]
    assert journal.verify() is None


def test_a_connection_cut_after_the_commit_does_not_write_twice(journal, monkeypatch):
    transaction = psycopg.Connection.transaction
    cuts = []

    class Cut:
        """A transaction whose answer to COMMIT is lost on the way."""

        def __init__(self, connection):
            self.inner = transaction(connection)

        def __enter__(self):
            return self.inner.__enter__()

        def __exit__(self, *error):
            self.inner.__exit__(*error)
            if not cuts:
                cuts.append(1)
                cut(journal)
                raise psycopg.OperationalError("the connection is lost")

    journal.append("run-1", "run_started")
    monkeypatch.setattr(psycopg.Connection, "transaction", partialmethod(Cut))
    monkeypatch.setattr(PostgresStore, "_lost", lambda _store: True)

    event = journal.append("run-1", "site_started", "a")

    assert cuts == [1]
    assert journal.events() == (journal.events()[0], event)
    assert journal.verify() is None


def test_a_server_that_stays_away_is_an_error_that_shows_no_password(database_server):
    url = f"postgresql://opsplay:canary@/nowhere?host={database_server.folder}/no"

    with pytest.raises(OpsplayError, match="could not be used") as caught:
        open_journal(url, FrozenClock(START))

    assert "canary" not in str(caught.value)
    assert "psql" in caught.value.next_command


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://ann:secret@db.example:5433/ops", "postgresql://ann@db.example:5433/ops"),
        ("postgres:///ops?password=secret", "postgresql:///ops"),
    ],
)
def test_an_address_is_told_without_its_password(url, told):
    assert shown(url) == told


def test_who_has_no_psycopg_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(OpsplayError, match="needs psycopg") as caught:
        open_journal("postgresql:///ops", FrozenClock(START))

    assert caught.value.next_command == "pip install 'opsplay[workers]'"


def test_truncating_is_refused_as_well(journal, url):
    journal.append("run-1", "run_started")

    with psycopg.connect(url) as other, pytest.raises(psycopg.Error, match="append-only"):
        other.execute("TRUNCATE opsplay.events")


def test_who_falls_asleep_in_the_middle_of_a_write_keeps_nobody_waiting_for_long(
    journal, url, monkeypatch
):
    monkeypatch.setattr("opsplay.journal.postgres._ASLEEP", 200)
    sleeper = open_journal(url, FrozenClock(START))
    sleeper.append("run-1", "run_started")
    slept = []

    def falls_asleep(_cursor):
        if not slept:
            slept.append(1)
            journal.append("run-1", "run_resumed")  # waits until the server ends the sleeper's turn

    with pytest.raises(Fenced):
        sleeper.append_all("run-1", [("site_started", "a", {})], claim=falls_asleep)

    assert [event.kind for event in journal.events()] == ["run_started", "run_resumed"]
    sleeper.close()
