"""What the journal's events say, as the engine reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsplay.core.action import (
    Clone,
    Page,
    Restore,
    Shell,
    Store,
    UndoRun,
    Visit,
    Write,
    from_data,
    to_data,
)
from opsplay.core.event import Event, State
from opsplay.engine.history import history_of
from opsplay.journal.chain import canonical
from opsplay.kit.secret import Secret

START = datetime(2026, 11, 22, 5, 31, tzinfo=UTC)


def events(*told, site="bakery"):
    return [
        Event(number, "run-1", START + timedelta(seconds=number), kind, site, data, "", "")
        for number, (kind, data) in enumerate(told, 1)
    ]


def begun(*told):
    return events(("stage_started", {"stage": "Publish", "environment": "production"}), *told)


def stage(*told):
    return history_of(begun(*told), "bakery").stage("Publish")


def intent(step=0, change=0):
    return ("intent", {"step": step, "change": change, "environment": "production", "undo": None})


def result(of, outcome="done"):
    return ("result", {"intent": of, "outcome": outcome, "facts": {}})


def test_nothing_happened_to_a_site_that_no_event_names():
    history = history_of(begun(intent()), "florist")

    assert (history.state, history.stages) == (None, {})


def test_an_act_is_open_until_its_result_is_known():
    assert [one.sequence for one in stage(intent()).unresolved] == [2]
    assert stage(intent(), result(2)).unresolved == ()
    assert stage(intent(), result(2, "failed")).unresolved == ()
    assert [one.sequence for one in stage(intent(), result(2, "unknown")).unresolved] == [2]


def test_the_last_result_of_an_act_counts():
    found = stage(intent(), result(2, "unknown"), result(2))

    assert found.outcome(found.intents[0]) == "done"
    assert found.done_before(0, 0).sequence == 4


def test_only_what_was_done_is_done_before():
    found = stage(intent(0), result(2, "failed"), intent(1), intent(2), result(5))

    assert [bool(found.done_before(step, 0)) for step in range(3)] == [False, False, True]
    assert found.done_before(2, 1) is None


def test_brackets_are_open_from_the_moment_they_begin_to_open():
    opening = ("bracket_opening", {"bracket": "maintenance"})
    closing = ("bracket_closing", {"bracket": "maintenance", "verdict": "changed", "detail": "x"})
    closed = ("bracket_closed", {"bracket": "maintenance"})

    assert stage(opening).opened["maintenance"].sequence == 2
    assert stage(opening, opening).opened["maintenance"].sequence == 2
    half = stage(opening, closing)
    assert (half.verdict, half.detail, [one.sequence for one in half.begun]) == (
        "changed",
        "x",
        [2, 3],
    )
    assert stage(opening, closing, closed).opened == {}


def test_a_restore_point_is_there_when_it_is_complete():
    opening, opened = (
        (kind, {"bracket": "restore point"}) for kind in ("bracket_opening", "bracket_opened")
    )

    assert stage(opening).restore_point is None
    assert stage(opening, opened).restore_point.sequence == 3
    assert stage(opening, opened, ("bracket_opened", {"bracket": "maintenance"})).restore_point


def test_a_rollback_is_known_with_its_end_and_what_it_undid():
    told = (
        ("rollback_started", {"reason": "x"}),
        ("undo_intent", {"of": 2}),
        ("undo_result", {"of": 2, "outcome": "done"}),
        ("undo_result", {"of": 3, "outcome": "failed"}),
    )

    found = stage(intent(), *told)
    assert (found.rollback.sequence, found.rollback_end, found.undone) == (3, None, {2})
    assert stage(intent(), *told, ("rollback_finished", {})).rollback_end.sequence == 7


def test_a_stage_taken_up_again_is_the_same_stage():
    again = ("stage_started", {"stage": "Publish", "environment": "production"})
    found = stage(intent(), ("lock_taken", {}), again, result(2), ("baseline", {"pages": []}))

    assert (found.locked, len(found.intents), found.unresolved) == (True, 1, ())
    assert found.baseline is not None
    assert not stage(("lock_taken", {}), ("lock_freed", {})).locked


@pytest.mark.parametrize("state", list(State))
def test_a_resume_takes_up_sites_that_came_to_no_end_of_their_own(state):
    finished = events(("site_finished", {"state": state}))
    left_open = {State.UNREACHABLE, State.UNKNOWN, State.WAITING, State.SKIPPED}

    assert history_of(finished, "bakery").state == (None if state in left_open else state)


def test_steps_and_stages_have_their_ends():
    found = stage(
        ("step_started", {"step": 0}),
        ("step_finished", {"step": 0, "state": "ok"}),
        ("retry", {"error": "x"}),
        ("stage_finished", {"stage": "Publish", "state": "changed"}),
    )

    assert (list(found.finished_steps), found.state) == ([0], State.CHANGED)


WORDS = st.text(max_size=20)
LISTS = st.lists(WORDS, max_size=3).map(tuple)
PAGES = st.builds(Page, path=WORDS, contains=LISTS, absent=LISTS, redirects_to=WORDS)
ACTIONS = st.one_of(
    st.builds(Shell, script=WORDS, timeout=st.floats(0.1, 9999)),
    st.builds(Write, path=WORDS, content=WORDS, mode=st.integers(0, 0o777)),
    st.builds(Store, include=LISTS, exclude=LISTS, label=WORDS),
    st.builds(Restore, snapshot=WORDS, include=LISTS),
    st.builds(Clone, source=WORDS, finish=WORDS),
    st.builds(Visit, pages=st.lists(PAGES, max_size=3).map(tuple), error_log=st.booleans()),
    st.builds(UndoRun, run=WORDS),
)


@given(ACTIONS)
def test_an_action_comes_back_from_the_journal_as_it_was(action):
    import json

    assert from_data(json.loads(canonical(to_data(action)))) == action


def test_an_action_with_secrets_is_journalled_by_reference_and_does_not_come_back():
    action = Shell("x", secrets={"TOKEN": Secret("env:TOKEN", lambda _: "canary")})

    assert to_data(action)["secrets"] == {"TOKEN": {"secret": "env:TOKEN"}}
    with pytest.raises(ValueError, match="with secrets"):
        from_data(to_data(action))
