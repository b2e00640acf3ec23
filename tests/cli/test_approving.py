"""The verbs around waiting, as typed: run, approve, resume, logs."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.terminal import Ended, on_terminal

from opsplay.cli import main
from opsplay.core.errors import ExitStatus

ASKING = """\
name: Ask and greet
sites: all
stages:
  - name: Ask
    prepares: Greet
    steps:
      - approve: {by: client, within: 2 days, note: It is only a greeting.}
  - name: Greet
    steps:
      - file: {path: hello.txt, content: "hello"}
"""
ANOTHER_DAY = """\
name: Greet on another day
sites: all
stages:
  - name: Greet
    window: {hours: "00:00-24:00", timezone: UTC, days: [DAY]}
    steps:
      - file: {path: hello.txt, content: "hello"}
"""


@pytest.fixture
def place(ops):
    day = f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()
    (ops / "playbooks/ask.yaml").write_text(ASKING)
    (ops / "playbooks/later.yaml").write_text(ANOTHER_DAY.replace("DAY", day))
    return ops


@pytest.fixture
def here(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setattr(sys, "argv", ["opsplay"])

    def call(*words):
        status = 0
        try:
            main(words)
        except SystemExit as ended:
            status = ended.code or 0
        told = capsys.readouterr()
        return Ended(status, told.out, told.err)

    return call


def greeted(ops):
    return (ops / "htdocs/hello.txt").exists()


def test_who_is_asked_sees_what_is_asked_and_the_run_goes_on(here, place):
    asked = here("run", "playbooks/ask.yaml")
    before = greeted(place)
    given = here("approve", "last", "--by", "Ada", "--note", "fine")
    resumed = here("resume", "last")
    logs = here("logs", "last")

    assert (asked.status, given.status, resumed.status) == (ExitStatus.WAITING, 0, 0)
    assert "client is asked to agree to 1 change until" in asked.out
    assert re.search(r"next +opsplay approve \S+", asked.out)
    assert not before
    assert "It is only a greeting." in given.out
    assert "file hello.txt  absent → 5 bytes" in given.out
    assert re.search(r"approved for shop by Ada, written down by \S+@\S+", given.out)
    assert re.search(r"next +opsplay resume \S+", given.out)
    assert greeted(place)
    assert "client was asked to agree until" in logs.out
    assert re.search(r"approved by Ada \(\S+\), .* UTC: fine", logs.out)


def test_a_program_is_told_what_a_run_waits_for_and_until_when(here, place):
    asked = here("run", "playbooks/ask.yaml", "--json")
    runs = here("logs", "--json")
    given = here("approve", "last", "--refuse", "--json")
    resumed = here("resume", "last", "--json")

    (wait,) = json.loads(asked.out.splitlines()[-1])["waiting"]
    assert (wait["site"], wait["stage"], wait["reason"]) == ("shop", "Ask", "approval")
    until = datetime.fromisoformat(wait["until"]) - datetime.now(UTC)
    assert timedelta(days=1, hours=23) < until < timedelta(days=2)
    assert json.loads(runs.out)["runs"][0]["waiting"] == [wait]
    told = json.loads(given.out)
    assert (told["message_type"], told["approved"], told["sites"]) == ("approval", False, ["shop"])
    assert told["asked"][0]["what"][0]["what"] == "file hello.txt"
    assert resumed.status == ExitStatus.FAILED
    assert json.loads(resumed.out.splitlines()[-1])["waiting"] == []
    assert not greeted(place)


def test_a_window_is_waited_for_unless_somebody_says_now(here, place):
    checked = here("check", "playbooks/later.yaml")
    waited = here("run", "playbooks/later.yaml")
    runs = here("logs")
    approved = here("approve", "last")
    hurried = here("resume", "last", "--now")

    assert "Greet (on production)  would wait until" in checked.out
    assert waited.status == ExitStatus.WAITING
    assert re.search(
        r"next +opsplay resume \S+   \(from .* UTC on, or at once with --now\)", waited.out
    )
    # The column is as wide as the paths of the place leave it.
    assert "… waiting" in runs.out
    assert "00:00 UTC" in runs.out
    assert (approved.status, "asks for no approval" in approved.err) == (ExitStatus.FAILED, True)
    assert hurried.status == ExitStatus.DONE
    assert greeted(place)


def test_on_a_terminal_nothing_is_approved_before_the_person_says_yes(here, place):
    here("run", "playbooks/ask.yaml")

    declined = on_terminal(place, "approve", "last", replies=[("Agree to it?", b"n\n")])
    agreed = on_terminal(place, "approve", "last", replies=[("Agree to it?", b"y\n")])

    assert declined.status == ExitStatus.INTERRUPTED
    assert "nothing was answered" in declined.plain
    assert agreed.status == ExitStatus.DONE
    assert "approved for shop by client" in agreed.plain
