"""A clock that jumps by a day, on the controller: nothing is lost, and no lock is stolen or kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.engine.workplace import Workplace, in_a_process_that_dies

from opsplay import app
from opsplay.core.errors import ExitStatus
from opsplay.kit.clock import SystemClock

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SAFE = """
- name: Publish
  maintenance: true
  on_failure: rollback
  steps:
    - command: {run: 'echo once >> ../bakery-production.diary'}
    - file: {path: robots.txt, content: "new"}
"""
DAYS = pytest.mark.parametrize("days", [-1, 1])


class JumpingClock(SystemClock):
    """A wall clock that is set to another day after it was read so often."""

    def __init__(self, days: int, after: int = 0) -> None:
        super().__init__()
        self.days, self.left = days, after

    def now(self) -> datetime:
        self.left -= 1
        return super().now() + (timedelta(days=self.days) if self.left < 0 else timedelta())


def options(place: Workplace, days: int, after: int = 0):
    return replace(place.options, clock=JumpingClock(days, after))


@DAYS
@pytest.mark.parametrize("after", [3, 8, 12])
def test_a_run_in_whose_middle_the_clock_jumps_ends_as_if_it_had_not(workplace, days, after):
    ran = app.run(workplace.playbook(SAFE), options(workplace, days, after))

    assert ran.exit_status == ExitStatus.DONE
    assert workplace.diary().count("once") == 1
    assert (workplace.root() / "robots.txt").read_text() == "new"
    (out,) = [event.data["seconds"] for event in ran.events if event.kind == "bracket_closed"]
    assert 0 < out < 100, "how long visitors were out is no matter of the wall clock"
    journal = app.journal(workplace.options)
    assert journal.verify() is None
    journal.close()


@DAYS
def test_a_run_that_was_cut_short_is_resumed_a_day_off(workplace, days):
    book = workplace.playbook(SAFE)
    assert in_a_process_that_dies(15, lambda: app.run(book, workplace.options))
    locks = workplace.folder / "home/.opsplay/locks"
    assert list(locks.iterdir()) != []

    refused = app.run(book, options(workplace, days))
    (cut, _) = {event.run: None for event in workplace.events}
    ended = app.resume(cut, options(workplace, days))

    assert refused.exit_status == ExitStatus.LOCKED, "its lock was stolen"
    assert ended.exit_status == ExitStatus.DONE
    assert workplace.diary().count("once") == 1
    assert list(locks.iterdir()) == []


def test_the_last_run_is_the_one_that_began_last_whatever_the_clock_said(workplace):
    first = app.run(workplace.playbook(SAFE), options(workplace, 1)).run
    second = app.run(workplace.playbook(SAFE.replace("new", "newer")), workplace.options).run
    journal = app.journal(workplace.options)

    assert second < first
    assert journal.resolve("last") == second
    journal.close()


def test_a_resume_on_a_clock_set_back_keeps_its_own_way_back(workplace):
    for number, days in enumerate((2, 3, 4)):
        stages = SAFE.replace("new", f"new {number}")
        app.run(workplace.playbook(stages), options(workplace, days))
    broken = SAFE + "    - command: {run: 'exit 1'}\n"
    book = workplace.playbook(broken)
    assert in_a_process_that_dies(19, lambda: app.run(book, workplace.options))

    ended = app.resume("last", workplace.options)

    assert ended.exit_status == ExitStatus.ROLLED_BACK
    assert (workplace.root() / "robots.txt").read_text() == "new 2"
