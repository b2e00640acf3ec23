"""`cancel`: what a run has begun is taken back, wherever it is carried out, and it cannot go on."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from tests.engine.workplace import count, in_a_process_that_dies

from opsplay import app
from opsplay.app.cancelling import RunOver
from opsplay.core.errors import ExitStatus
from opsplay.core.event import State

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SAFE = """
- name: Publish
  maintenance: true
  on_failure: rollback
  steps:
    - file: {path: robots.txt, content: "new"}
    - command: {run: 'echo begun >> ../bakery-production.diary; until [ -e ../go ]; do sleep 0.05; done; echo ended >> ../bakery-production.diary'}
    - command: {run: 'echo next >> ../bakery-production.diary'}
"""
PLAIN = SAFE.replace("  maintenance: true\n  on_failure: rollback\n", "")


def wait_for(happened) -> None:
    ends = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def begin(place, stages: str) -> int:
    """Carry the run out in a process of its own, up to the command that waits; return its id."""
    book = place.playbook(stages)
    child = os.fork()
    if not child:
        status = 99
        try:
            status = int(app.run(book, place.options).exit_status)
        finally:
            os._exit(status)
    wait_for(lambda: "begun" in place.diary())
    return child


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def state(place) -> str:
    return place.events[-1].data["state"]


def locks(place):
    return list((place.folder / "home/.opsplay/locks").iterdir())


def go_when_asked(place) -> threading.Thread:
    """Let the command end, but not before the request is in the journal and was surely heard."""

    def let_go() -> None:
        wait_for(lambda: count(place.events, "cancel_requested"))
        time.sleep(1.3)  # longer than the run takes between two looks
        (place.folder / "go").touch()

    thread = threading.Thread(target=let_go)
    thread.start()
    return thread


def test_a_run_under_way_ends_its_act_and_takes_its_stage_back(workplace):
    child = begin(workplace, SAFE)
    thread = go_when_asked(workplace)

    result = app.cancel("last", workplace.options)

    thread.join()
    assert result.exit_status == ExitStatus.DONE
    assert status_of(child) == ExitStatus.INTERRUPTED
    assert state(workplace) == State.CANCELLED
    ended = [event for event in workplace.events if event.kind == "site_finished"]
    assert [event.data["state"] for event in ended] == [State.ROLLED_BACK]
    assert "cancelled by " in ended[0].data["detail"]
    assert "ended" in workplace.diary()
    assert "next" not in workplace.diary()
    assert not (workplace.root() / "robots.txt").exists()
    assert not workplace.root().with_name("bakery-production.closed").exists()
    assert locks(workplace) == []


def test_now_the_act_under_way_is_ended_on_its_host_first(workplace):
    child = begin(workplace, SAFE)

    result = app.cancel("last", workplace.options, now=True)

    assert result.exit_status == ExitStatus.DONE
    assert status_of(child) == ExitStatus.INTERRUPTED
    assert "ended" not in workplace.diary()
    outcomes = [event.data["outcome"] for event in workplace.events if event.kind == "result"]
    assert outcomes == ["done", "unknown"]
    assert not count(workplace.events, "question")
    assert not (workplace.root() / "robots.txt").exists()
    assert locks(workplace) == []


def test_without_a_way_back_what_was_done_stays_and_is_told(workplace):
    child = begin(workplace, PLAIN)
    thread = go_when_asked(workplace)

    app.cancel("last", workplace.options)

    thread.join()
    assert status_of(child) == ExitStatus.INTERRUPTED
    (ended,) = [event for event in workplace.events if event.kind == "site_finished"]
    assert ended.data["state"] == State.CANCELLED
    assert "what was done before stays" in ended.data["detail"]
    assert (workplace.root() / "robots.txt").read_text() == "new"
    assert "next" not in workplace.diary()
    assert locks(workplace) == []


@pytest.mark.parametrize("stages", [SAFE, PLAIN])
def test_a_dead_run_is_taken_up_only_to_be_taken_back(workplace, stages):
    child = begin(workplace, stages)
    os.kill(child, signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL

    result = app.cancel("last", workplace.options, now=True)

    assert result.exit_status == ExitStatus.DONE
    assert state(workplace) == State.CANCELLED
    assert (workplace.root() / "robots.txt").exists() == (stages == PLAIN)
    assert not {"ended", "next"} & set(workplace.diary())
    assert not workplace.root().with_name("bakery-production.closed").exists()
    assert locks(workplace) == []


def test_a_run_that_died_before_it_touched_the_site_is_closed_without_asking_the_host(workplace):
    book = workplace.playbook(SAFE)
    assert in_a_process_that_dies(4, lambda: app.run(book, workplace.options))
    before = workplace.tree()

    app.cancel("last", workplace.options)

    (ended,) = [event for event in workplace.events if event.kind == "site_finished"]
    assert (ended.data["state"], state(workplace)) == (State.SKIPPED, State.CANCELLED)
    assert workplace.tree() == before


def test_a_cancelled_run_cannot_go_on_and_a_finished_one_cannot_be_cancelled(workplace):
    book = workplace.playbook(SAFE)
    assert in_a_process_that_dies(4, lambda: app.run(book, workplace.options))
    app.cancel("last", workplace.options)

    for again in (app.cancel, app.resume):
        with pytest.raises(RunOver, match="was cancelled"):
            again("last", workplace.options)

    (workplace.folder / "go").touch()
    finished = app.run(book, workplace.options)
    with pytest.raises(RunOver, match=r"has ended \(changed\)"):
        app.cancel(finished.run, workplace.options)


def test_a_resume_hears_a_request_that_the_dead_process_did_not(workplace):
    child = begin(workplace, SAFE)
    os.kill(child, signal.SIGKILL)
    status_of(child)
    journal = app.journal(workplace.options)
    journal.append(journal.resolve("last"), "cancel_requested", "", {"user": "x@y", "now": True})
    journal.close()

    app.resume("last", workplace.options)

    assert state(workplace) == State.CANCELLED
    assert not (workplace.root() / "robots.txt").exists()
