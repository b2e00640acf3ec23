"""An act whose end nobody saw: done again, looked up, or a person is asked. Never guessed."""

from __future__ import annotations

import os
import signal
import time

import pytest
from tests.engine.workplace import Workplace, count

from opsplay import app
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.core.event import State

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

ASKED = """
- name: Work
  steps:
    - command:
        run: 'echo told; echo once >> ../bakery-production.diary; until [ -e ../go ]; do sleep 0.05; done; echo ended >> ../bakery-production.diary'
      retries: 3
    - command: {run: 'echo next >> ../bakery-production.diary'}
"""
LOOKED_UP = ASKED.replace("      retries: 3", "        unless: test -e ../go\n      retries: 3")
SAFE = ASKED.replace("- name: Work", "- name: Work\n  maintenance: true\n  on_failure: rollback")


def lost(place: Workplace, stages: str) -> None:
    """Kill controller and host's shell in the middle of the first command, as a power cut does."""
    book = place.playbook(stages)
    child = os.fork()
    if not child:
        app.run(book, place.options)
        os._exit(0)
    ends = time.monotonic() + 60
    while "once" not in place.diary():
        assert time.monotonic() < ends
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for pid in (place.folder / "home/.opsplay/jobs").glob("*/pid"):
        if not pid.with_name("rc").exists():
            os.killpg(int(pid.read_text()), signal.SIGKILL)


def states(place: Workplace) -> list[str]:
    return [event.data["state"] for event in place.events if event.kind == "site_finished"]


def test_of_a_command_that_was_cut_off_a_person_is_asked_and_it_is_not_done_again(workplace):
    lost(workplace, ASKED)

    for _ in range(2):
        asked = app.resume("last", workplace.options)
        assert asked.exit_status == ExitStatus.FAILED

    assert workplace.diary() == ["once"]
    assert states(workplace) == [State.UNKNOWN] * 2
    (question,) = [event for event in workplace.events if event.kind == "question"]
    assert question.data["output"] == "told\n"
    detail = [event for event in workplace.events if event.kind == "site_finished"][-1].data[
        "detail"
    ]
    for part in (
        "nobody knows whether",
        "step 1 of Work",
        "told",
        "--done bakery",
        "--redo bakery",
    ):
        assert part in detail, detail
    assert list((workplace.folder / "home/.opsplay/locks").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "diary"),
    [("done", ["once", "next"]), ("redo", ["once", "once", "ended", "next"])],
)
def test_the_answer_is_journalled_and_followed(workplace, answer, diary):
    lost(workplace, ASKED)
    app.resume("last", workplace.options)
    (workplace.folder / "go").touch()

    ended = app.resume("last", workplace.options, answers={"bakery": answer})

    assert ended.exit_status == ExitStatus.DONE
    assert workplace.diary() == diary
    (answered,) = [event for event in workplace.events if event.kind == "answered"]
    assert answered.data["answer"] == answer
    assert "@" in answered.data["user"]


def test_an_answer_without_a_question_is_refused_before_anything_is_done(workplace):
    lost(workplace, ASKED)
    written = len(workplace.events)

    with pytest.raises(InvalidInput, match="asks nothing about 'bakery'"):
        app.resume("last", workplace.options, answers={"bakery": "done"})

    assert len(workplace.events) == written


def test_what_can_be_looked_up_is_looked_up_and_nobody_is_asked(workplace):
    lost(workplace, LOOKED_UP)
    (workplace.folder / "go").touch()

    ended = app.resume("last", workplace.options)

    assert ended.exit_status == ExitStatus.DONE
    assert workplace.diary() == ["once", "next"]
    assert not count(workplace.events, "question")


def test_a_stage_that_says_rollback_is_taken_back_and_nobody_is_asked(workplace):
    lost(workplace, SAFE)

    ended = app.resume("last", workplace.options)

    assert ended.exit_status == ExitStatus.ROLLED_BACK
    assert states(workplace) == [State.ROLLED_BACK]
    assert workplace.diary().count("once") == 1


def test_a_command_that_is_cut_off_while_we_watch_is_not_tried_again_either(workplace):
    stages = ASKED.replace("until [ -e ../go ]", "[ -e ../go ] || kill -9 0; until [ -e ../go ]")

    ran = workplace.run(stages)

    assert ran.exit_status == ExitStatus.FAILED
    assert workplace.diary() == ["once"]
    assert states(workplace) == [State.UNKNOWN]
    (workplace.folder / "go").touch()
    app.resume("last", workplace.options, answers={"bakery": "redo"})
    assert workplace.diary() == ["once", "once", "ended", "next"]
