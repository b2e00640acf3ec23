"""The verbs of several machines, as typed."""

from __future__ import annotations

import json
import sys

import pytest
from tests.workers.conftest import serving
from tests.workers.test_workers import ended, under_way

from opsplay.cli import main

pytestmark = pytest.mark.real


@pytest.fixture
def typed(capsys, monkeypatch):
    """Run the command in this process, in the fleet's ops repository."""
    monkeypatch.setattr(sys, "argv", ["opsplay"])

    def call(fleet, *words):
        monkeypatch.chdir(fleet.place.folder / "ops")
        status = 0
        try:
            main(words)
        except SystemExit as ended_by:
            status = ended_by.code or 0
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_a_run_is_submitted_followed_and_carried_out(fleet_of, typed, url):
    fleet = fleet_of(1)
    playbook = str(fleet.playbook("site-a"))

    status, out, _ = typed(fleet, "run", playbook, "--submit", "--journal", url, "--json")
    told = json.loads(out)
    with serving(fleet):
        states = ended(fleet, told["run"])
    listed = typed(fleet, "logs", "--journal", url, "--json")[1]

    assert status == 0
    assert told["follow"] == f"opsplay logs {told['run']} --follow"
    assert states == {told["run"]: "changed"}
    assert [run["run"] for run in json.loads(listed)["runs"]] == [told["run"]]
    assert len(fleet.marks("site-a")) == 4


def test_workers_are_shown_with_what_they_do_and_the_dead_ones_as_such(fleet_of, typed, url):
    fleet = fleet_of(1)
    with fleet.worker("gone", "--patience", "1") as gone:
        run = fleet.submit("site-a", steps=1, seconds=2)
        under_way(fleet, "site-a")
        _, out, _ = typed(fleet, "workers", "--journal", url, "--json")
        gone.process.kill()
        gone.process.wait()
        with serving(fleet, "here", patience=1.5):
            ended(fleet, run)
            _, shown, _ = typed(fleet, "workers", "--journal", url)

    (seen,) = json.loads(out)["workers"]
    assert (seen["name"], seen["alive"]) == ("gone", True)
    assert [(held["run"], held["sites"]) for held in seen["runs"]] == [(run, ["site-a"])]
    assert "gone (dead)" in shown
    assert "here" in shown


def test_the_journal_may_be_named_by_the_environment(fleet_of, typed, url, monkeypatch):
    fleet = fleet_of(1)
    monkeypatch.setenv("OPSPLAY_JOURNAL", url)

    status, out, _ = typed(fleet, "run", str(fleet.playbook("site-a")), "--json")

    assert status == 0
    run = json.loads(out.splitlines()[-1])["run"]
    assert run in typed(fleet, "logs")[1]
    assert typed(fleet, "logs.verify")[0] == 0
    assert not (fleet.place.options.state / "journal.db").exists()


def test_a_cancelled_run_of_a_worker_ends_where_it_stands(fleet_of, typed, url):
    fleet = fleet_of(1)
    run = fleet.submit("site-a", steps=3, seconds=1)
    with serving(fleet):
        under_way(fleet, "site-a")
        typed(fleet, "cancel", run, "--journal", url)
        states = ended(fleet, run)

    assert set(states.values()).isdisjoint({"changed", "unfinished"})
    assert len(fleet.marks("site-a")) < 6


@pytest.mark.parametrize("verb", ["serve", "workers"])
def test_without_a_database_the_verbs_say_what_they_need(fleet_of, typed, verb):
    status, _, err = typed(fleet_of(1), verb)

    assert status == 2
    assert "workers share a journal in PostgreSQL" in err
    assert "--journal postgresql://" in err


def test_numbers_that_make_no_sense_are_refused(fleet_of, typed, url):
    status, _, err = typed(fleet_of(1), "serve", "--at-once", "0", "--journal", url)

    assert status == 2
    assert "--at-once" in err
