"""Couriers bring each run at least once, and may lose everything without harm."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.workers.fleet import wait_until

from opsplay.core.errors import OpsplayError
from opsplay.couriers.postgres import SCHEMA, PostgresCourier
from opsplay.engine.courier import Inline

pytestmark = pytest.mark.real


@pytest.fixture
def courier(url):
    made = PostgresCourier(url, "one", at_once=3, patience=3)
    yield made
    made.close()


def brought(courier, number, *, hold=None):
    """Serve until so many runs were brought; return them in order."""
    runs = []

    def execute(run):
        runs.append(run)
        if hold is not None:
            hold(run)
        if len(runs) == number:
            courier.stop()

    courier.serve(execute)
    return runs


def drop(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def test_the_inline_courier_brings_each_run_once_in_order():
    courier = Inline()
    for run in ("run-1", "run-2", "run-1"):
        courier.submit(run, "bakery")

    assert courier.queued() == {"run-1", "run-2"}
    assert brought(courier, 3) == ["run-1", "run-2"]


def test_the_inline_courier_stops_between_two_runs():
    courier = Inline()
    for run in ("run-1", "run-2"):
        courier.submit(run, "bakery")

    assert brought(courier, 1) == ["run-1"]


def test_a_run_submitted_twice_is_queued_once(courier):
    for run in ("run-1", "run-1", "run-2", "run-1"):
        courier.submit(run, "bakery")

    assert courier.queued() == {"run-1", "run-2"}
    assert brought(courier, 2) == ["run-1", "run-2"]
    assert courier.queued() == frozenset()


def test_runs_of_one_site_are_brought_one_after_the_other(courier):
    for run, site in (("run-1", "bakery"), ("run-2", "bakery"), ("run-3", "florist")):
        courier.submit(run, site)
    under_way, met = set(), []
    both = threading.Barrier(2, timeout=20)

    def hold(run):
        under_way.add(run)
        met.append(set(under_way))
        if run != "run-2":
            both.wait()  # run-1 and run-3 are at work at the same time
        under_way.discard(run)

    assert brought(courier, 3, hold=hold)[2] == "run-2"
    assert {"run-1", "run-3"} in met
    assert not any({"run-1", "run-2"} <= group for group in met)


def test_a_run_for_later_keeps_nobody_waiting(courier):
    soon = datetime.now(tz=UTC) + timedelta(seconds=2)
    courier.submit("run-later", "bakery", soon)
    courier.submit("run-now", "bakery")

    assert brought(courier, 2) == ["run-now", "run-later"]
    assert datetime.now(tz=UTC) >= soon


def test_a_queue_dropped_before_a_submission_is_made_again(courier, url):
    courier.submit("run-1", "bakery")
    drop(url)

    courier.submit("run-2", "bakery")

    assert brought(courier, 1) == ["run-2"]


def test_a_queue_dropped_under_a_worker_is_made_again(courier, url):
    runs = []
    thread = threading.Thread(target=courier.serve, args=(runs.append,))
    thread.start()
    try:
        courier.submit("run-1", "bakery")
        wait_until(lambda: runs == ["run-1"])

        drop(url)
        courier.submit("run-2", "bakery")

        wait_until(lambda: runs == ["run-1", "run-2"])
    finally:
        courier.stop()
        thread.join(30)


def test_half_a_queue_is_no_queue(courier, url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {SCHEMA}.procrastinate_events CASCADE")

    courier.submit("run-1", "bakery")

    assert brought(courier, 1) == ["run-1"]


def test_what_a_dead_worker_was_brought_does_not_lock_its_site(courier, url):
    courier.submit("run-1", "bakery")
    courier.submit("run-2", "bakery")
    with psycopg.connect(url, autocommit=True, options=f"-c search_path={SCHEMA}") as dead:
        dead.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')"
        )
        dead.execute(
            "SELECT procrastinate_fetch_job_v2(NULL, (SELECT max(id) FROM procrastinate_workers))"
        )

    assert brought(courier, 1) == ["run-2"]


def test_who_has_no_procrastinate_is_told_what_to_install(monkeypatch, url):
    monkeypatch.setitem(sys.modules, "procrastinate.exceptions", None)

    with pytest.raises(OpsplayError, match="not installed") as caught:
        PostgresCourier(url)

    assert caught.value.next_command == "pip install 'opsplay[workers]'"


def test_a_queue_out_of_reach_is_an_error_with_a_way_on(database_server):
    with pytest.raises(OpsplayError, match="could not be used") as caught:
        PostgresCourier(database_server.url("nowhere"))

    assert "journal knows every run" in caught.value.state
