"""Several workers share the runs; whatever happens to one of them, each act is done once."""

from __future__ import annotations

import signal
from dataclasses import replace

import psycopg
import pytest
from tests.workers.conftest import serving
from tests.workers.fleet import wait_until

from opsplay import app
from opsplay.app.approving import answer
from opsplay.app.workers import serve, submit, workers
from opsplay.core.errors import ExitStatus, InvalidInput, Locked
from opsplay.couriers.postgres import SCHEMA

pytestmark = pytest.mark.real


def ended(fleet, *runs):
    """Wait until these runs have ended; return their states."""
    journal = fleet.journal()
    try:

        def states():
            found = {one.run: one.state for one in journal.runs() if one.run in runs}
            return found if "unfinished" not in found.values() else None

        return wait_until(states)
    finally:
        journal.close()


def kinds(fleet, run):
    journal = fleet.journal()
    try:
        return [event.kind for event in journal.events(run)]
    finally:
        journal.close()


def at_work(fleet, name):
    """Return the runs that a worker is at work on."""
    found = [one for one in workers(fleet.options) if one.name == name]
    return [held.run for one in found for held in one.runs]


def under_way(fleet, site, number=1):
    """Wait until so many acts have begun on a site."""
    wait_until(lambda: sum(mark[0] == "begin" for mark in fleet.marks(site)) >= number, every=0.02)


def sound(fleet):
    """Assert that no act was done twice, that none overlapped, and that the journal holds."""
    journal = fleet.journal()
    assert journal.verify() is None
    journal.close()
    for site in fleet.place.sites:
        assert fleet.overlaps(site) == []
        assert fleet.twice(site) == []


def test_two_workers_carry_out_each_run_once_and_one_at_a_time_on_a_site(fleet_of):
    fleet = fleet_of(2)
    runs = [fleet.submit(site) for site in ("site-a", "site-b") * 3]

    with serving(fleet, "one") as (one, _), serving(fleet, "two") as (two, _):
        states = ended(fleet, *runs)

    assert set(states.values()) == {"changed"}
    assert len(fleet.marks("site-a")) == len(fleet.marks("site-b")) == 3 * 2 * 2
    assert sorted(told.run for told in (*one, *two) if told.what == "ended") == sorted(runs)
    sound(fleet)


def test_a_run_of_several_sites_waits_for_all_of_them(fleet_of):
    fleet = fleet_of(2)
    runs = [fleet.submit("site-a", steps=1, seconds=0.5), fleet.submit("all", steps=1)]
    runs.append(fleet.submit("site-b", steps=1))

    with serving(fleet, "one", patience=1.5):
        states = ended(fleet, *runs)

    assert set(states.values()) == {"changed"}
    sound(fleet)


def test_a_worker_killed_in_the_middle_is_replaced_and_no_act_is_done_twice(fleet_of):
    fleet = fleet_of(1)
    run = fleet.submit("site-a", seconds=1)
    with fleet.worker("one", "--patience", "1.5") as one:
        under_way(fleet, "site-a")
        one.send(signal.SIGKILL)
        one.process.wait()

        with serving(fleet, "two", patience=1.5):
            dead = [seen for seen in workers(fleet.options) if seen.name == "one"]
            states = ended(fleet, run)

    assert states == {run: "changed"}
    assert [seen.runs[0].run for seen in dead] == [run]
    assert kinds(fleet, run).count("run_resumed") == 2
    assert len(fleet.marks("site-a")) == 4
    sound(fleet)


def test_a_worker_that_was_taken_for_dead_writes_nothing_when_it_wakes_up(fleet_of):
    fleet = fleet_of(1)
    run = fleet.submit("site-a", seconds=1)
    with fleet.worker("zombie", "--patience", "1.5") as zombie:
        under_way(fleet, "site-a")
        zombie.send(signal.SIGSTOP)

        with serving(fleet, "heir", patience=1.5):
            assert ended(fleet, run) == {run: "changed"}
        before = kinds(fleet, run)
        zombie.send(signal.SIGCONT)
        wait_until(lambda: "was taken over" in zombie.told)
        again = fleet.submit("site-a")

        assert ended(fleet, again) == {again: "changed"}  # it serves on, with a new epoch

    assert kinds(fleet, run) == before
    sound(fleet)


def test_a_queue_dropped_in_the_middle_loses_no_run(fleet_of, url):
    fleet = fleet_of(2)
    runs = [fleet.submit(site, seconds=0.2) for site in ("site-a", "site-b") * 3]
    with serving(fleet, "one", patience=1.5, at_once=1), serving(fleet, "two", patience=1.5):
        under_way(fleet, "site-a")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")

        states = ended(fleet, *runs)

    assert set(states.values()) == {"changed"}
    sound(fleet)


def test_a_worker_asked_to_leave_ends_its_act_and_hands_the_run_back(fleet_of):
    fleet = fleet_of(1)
    run = fleet.submit("site-a", steps=3, seconds=0.5)
    with serving(fleet, "one") as (told, stop):
        under_way(fleet, "site-a")
        stop.request()
        wait_until(lambda: any(one.what == "left" for one in told))
    left = fleet.marks("site-a")
    seen = workers(fleet.options)
    unfinished = kinds(fleet, run)

    with serving(fleet, "two"):
        states = ended(fleet, run)

    assert [mark[0] for mark in left] == ["begin", "end"]
    assert [one.what for one in told] == ["serving", "begun", "handed back", "left"]
    assert "run_finished" not in unfinished
    assert seen == ()
    assert states == {run: "changed"}
    assert len(fleet.marks("site-a")) == 6
    sound(fleet)


def test_a_command_by_hand_and_a_worker_keep_out_of_each_others_way(fleet_of):
    fleet = fleet_of(1)
    run = fleet.submit("site-a", seconds=1)
    with serving(fleet, "one"):
        under_way(fleet, "site-a")

        with pytest.raises(Locked, match=r"one on .* is at work on run") as caught:
            app.run(fleet.playbook("site-a"), fleet.options)

        assert at_work(fleet, "one") == [run]
        assert caught.value.site == "site-a"
        ended(fleet, run)

    assert app.run(fleet.playbook("site-a"), fleet.options).exit_status == ExitStatus.DONE
    assert workers(fleet.options) == ()
    sound(fleet)


def test_a_run_that_waits_for_an_answer_is_taken_up_by_whichever_worker_is_there_then(fleet_of):
    fleet = fleet_of(1)
    text = fleet.playbook("site-a", steps=1).read_text()
    asking = fleet.place.folder / "ops" / "asking.yaml"
    ask = "  - name: Ask\n    steps:\n      - approve: {by: client, within: 5 days}\n"
    asking.write_text(text.replace("stages:\n", f"stages:\n{ask}"))
    run = submit(asking, fleet.options)
    with serving(fleet, "one"):
        assert ended(fleet, run) == {run: "waiting"}
    before = fleet.marks("site-a")

    with serving(fleet, "two", patience=1.5) as (told, _):
        answer(run, fleet.options, by="client")
        wait_until(lambda: fleet.marks("site-a"))
        wait_until(lambda: any(one.what == "ended" for one in told))

    assert before == []
    assert ended(fleet, run) == {run: "changed"}
    sound(fleet)


def test_a_run_that_cannot_be_carried_out_ends_as_failed_and_says_why(fleet_of):
    fleet = fleet_of(1)
    journal = fleet.journal()
    data = {"playbook": "Odd", "sites": ["site-a"], "text": "stages: 7", "file": "odd.yaml"}
    more = {"texts": {}, "extra_vars": {}, "tags": [], "submitted": True}
    journal.append("run-odd", "run_started", "", {**data, **more})
    journal.close()

    with serving(fleet, "one", patience=1.5) as (told, _):
        states = ended(fleet, "run-odd")
        good = fleet.submit("site-a")
        ended(fleet, good)

    assert states == {"run-odd": "failed"}
    assert sum(one.what == "failed" for one in told) == 3
    journal = fleet.journal()
    (end,) = journal.events("run-odd", kinds=("run_finished",))
    journal.close()
    assert "odd.yaml" in end.data["detail"]


def test_a_run_started_by_hand_is_nothing_for_workers(fleet_of):
    fleet = fleet_of(1)
    journal = fleet.journal()
    journal.append("run-mine", "run_started", "", {"playbook": "Mine", "sites": ["site-a"]})
    journal.close()

    with serving(fleet, "one", patience=1.5):
        ended(fleet, fleet.submit("site-a"))

    assert kinds(fleet, "run-mine") == ["run_started"]


def test_without_a_database_there_is_nobody_to_submit_to(fleet_of):
    fleet = fleet_of(1)
    options = replace(fleet.options, journal="")

    with pytest.raises(InvalidInput, match="this one is a file") as caught:
        submit(fleet.playbook("site-a"), options)

    assert "--journal postgresql://" in caught.value.next_command
    assert not (options.state / "journal.db").exists()


def test_two_workers_may_not_have_one_name(fleet_of):
    fleet = fleet_of(1)

    with serving(fleet, "one"), pytest.raises(Locked, match="called one is at work already"):
        serve(fleet.options, print, "one")
