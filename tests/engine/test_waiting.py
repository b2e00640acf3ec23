"""Runs that wait for a window or for somebody's approval, and go on. Real sh, no network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.engine.workplace import Workplace, count, in_a_process_that_dies

from opsplay import app
from opsplay.app.approving import answer, open_approvals, waiting_runs
from opsplay.app.cancelling import cancel
from opsplay.core.errors import ExitStatus, OpsplayError
from opsplay.engine.schedule_resume import resumable
from opsplay.engine.waits import waiting_run
from opsplay.kit.clock import FrozenClock

pytestmark = pytest.mark.real

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""A Monday."""
BY_NIGHT = """
- name: Publish
  window: "22:00-05:00 UTC"
  maintenance: true
  on_failure: rollback
  steps:
    - cms_update: {to: latest}
"""
REHEARSE = """
- name: Rehearse
  environment: staging
  prepares: Publish
  steps:
    - staging_clone: {from: production}
    - cms_update: {to: latest}
"""
ASK = """
- name: Ask
  prepares: Publish
  steps:
    - approve: {by: client, within: 5 days}
"""
PUBLISH = """
- name: Publish
  maintenance: true
  on_failure: rollback
  steps:
    - cms_update: {to: rehearsed}
"""
WHOLE = REHEARSE + ASK + PUBLISH


class Days:
    """A workplace whose clock the test sets."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.clock = FrozenClock(NOON)

    @property
    def options(self):
        return replace(self.place.options, clock=self.clock)

    def run(self, stages, head="", name="book.yaml", **options):
        book = self.place.playbook(stages, head, name)
        return app.run(book, replace(self.options, **options))

    def resume(self, run, **options):
        return app.resume(run, replace(self.options, **options))

    def answer(self, run="last", **said):
        return answer(run, self.options, **said)

    def later(self, **span):
        self.clock.sleep(timedelta(**span).total_seconds())

    def version(self, site="bakery", environment="production"):
        return (self.place.root(site, environment) / "version").read_text().strip()

    def waiting(self):
        journal = app.journal(self.options)
        try:
            return waiting_runs(journal, self.clock.now())
        finally:
            journal.close()


@pytest.fixture
def days(workplace):
    workplace.offer("2.0")
    return Days(workplace)


@pytest.fixture
def two_sites(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = Workplace(tmp_path, sites=("bakery", "florist")).build()
    place.offer("2.0")
    return Days(place)


def kinds(ran):
    return [event.kind for event in ran.events]


def of(ran, kind):
    return [event.data for event in ran.events if event.kind == kind]


def end(ran):
    return of(ran, "site_finished")[-1]


def untouched(days):
    return days.version() == "1.0" and days.place.diary() == []


class TestWindows:
    def test_outside_its_window_a_stage_waits_and_holds_nothing(self, days):
        ran = days.run(BY_NIGHT)

        assert ran.exit_status == ExitStatus.WAITING
        assert untouched(days)
        assert not {"lock_taken", "bracket_opening", "intent"} & set(kinds(ran))
        (wait,) = of(ran, "waiting")
        assert (wait["stage"], wait["reason"]) == ("Publish", "window")
        assert wait["until"] == "2026-11-23T22:00:00+00:00"
        assert "Mon 2026-11-23 22:00 UTC" in end(ran)["detail"]
        assert f"invoke resume {ran.run}" in end(ran)["detail"]
        assert of(ran, "run_finished")[-1]["waiting"][0]["until"] == wait["until"]

    def test_it_goes_on_when_the_window_is_open(self, days):
        ran = days.run(BY_NIGHT)
        days.later(hours=10)

        resumed = days.resume(ran.run)

        assert resumed.exit_status == ExitStatus.DONE
        assert days.version() == "2.0"
        assert days.waiting() == ()

    def test_resumed_too_early_it_waits_on(self, days):
        ran = days.run(BY_NIGHT)
        days.later(hours=9, minutes=59)

        resumed = days.resume(ran.run)

        assert resumed.exit_status == ExitStatus.WAITING
        assert untouched(days)

    def test_nothing_to_change_is_nothing_to_wait_for(self, days):
        days.place.offer("1.0")

        ran = days.run(BY_NIGHT)

        assert ran.exit_status == ExitStatus.DONE
        assert count(ran.events, "waiting") == 0

    def test_inside_its_window_nothing_waits(self, days):
        days.later(hours=16)

        assert days.run(BY_NIGHT).exit_status == ExitStatus.DONE
        assert days.version() == "2.0"

    def test_begun_inside_the_window_it_goes_on_past_its_end(self, days):
        slow = BY_NIGHT + "    - command: {run: 'echo late >> ../bakery-production.diary'}\n"
        days.later(hours=16, minutes=59)
        stop = _stops_after("intent")

        cut = days.run(slow.replace("on_failure: rollback", "on_failure: stop"), **stop)
        days.later(hours=3)
        resumed = days.resume(cut.run)

        assert cut.exit_status == ExitStatus.INTERRUPTED
        assert resumed.exit_status == ExitStatus.DONE
        assert "late" in days.place.diary()

    def test_somebody_may_say_that_the_hour_does_not_matter_and_the_journal_knows(self, days):
        ran = days.run(BY_NIGHT)

        resumed = days.resume(ran.run, any_hour=True)

        assert resumed.exit_status == ExitStatus.DONE
        assert days.version() == "2.0"
        assert of(resumed, "run_started")[0]["any_hour"] is False
        assert of(resumed, "run_resumed")[0]["any_hour"] is True

    def test_a_rollback_never_waits(self, days):
        days.later(hours=10)
        days.run(BY_NIGHT.replace("cms_update: {to: latest}", "file: {path: new, content: x}"))
        days.later(hours=12)

        ran = days.run(
            "- name: Back\n  maintenance: true\n  steps: [{rollback: {run: last}}]",
            name="back.yaml",
        )

        assert ran.exit_status == ExitStatus.DONE
        assert not (days.place.root() / "new").exists()

    def test_a_check_says_until_when_it_would_wait(self, days):
        from opsplay.engine.plan import to_data

        checked = app.check(days.place.playbook(BY_NIGHT), days.options)

        (stage,) = to_data(checked.plan.sites[0])["stages"]
        assert stage["waits"] == "until Mon 2026-11-23 22:00 UTC"
        assert checked.exit_status == ExitStatus.PENDING

    def test_another_run_may_work_on_a_site_that_waits(self, days):
        days.run(BY_NIGHT)

        other = days.run("- name: W\n  steps: [{file: {path: a, content: b}}]", name="other.yaml")

        assert other.exit_status == ExitStatus.DONE

    def test_it_is_ready_just_while_the_window_is_open(self, days):
        days.run(BY_NIGHT)
        ready = []
        for hours in (0, 10, 7):
            days.later(hours=hours)
            (waiting,) = days.waiting()
            ready.append(waiting.ready)

        assert ready == [False, True, False]
        assert waiting.reason == "window"


def _stops_after(kind):
    from opsplay.engine.tools import Stop

    stop = Stop()
    return {"stop": stop, "listener": lambda event: event.kind == kind and stop.request()}


class TestApprovals:
    def test_the_run_asks_once_and_publishes_nothing_before_the_answer(self, days):
        ran = days.run(WHOLE)
        again = days.resume(ran.run)

        assert (ran.exit_status, again.exit_status) == (ExitStatus.WAITING,) * 2
        assert days.version() == "1.0"
        assert days.version(environment="staging") == "2.0"
        (asked,) = of(again, "approval_asked")
        (change,) = asked["what"]
        assert (change["before"], change["after"]) == ("1.0", "2.0")
        assert (asked["by"], asked["expires"]) == ("client", "2026-11-28T12:00:00+00:00")
        assert "invoke approve" in end(ran)["detail"]
        assert of(again, "step_finished")[-1]["state"] == "waiting"

    def test_what_was_approved_is_published(self, days):
        ran = days.run(WHOLE)
        days.later(days=2)

        given = days.answer(ran.run, by="Ada", note="go ahead")
        resumed = days.resume(ran.run)

        assert (given.run, given.approved, len(given.given)) == (ran.run, True, 1)
        assert resumed.exit_status == ExitStatus.DONE
        assert days.version() == "2.0"
        (row,) = of(resumed, "approved")
        assert (row["by"], row["note"]) == ("Ada", "go ahead")
        assert row["plan_hash"] == of(resumed, "approval_asked")[0]["plan_hash"]

    def test_what_was_refused_is_not_published(self, days):
        ran = days.run(WHOLE)

        days.answer(ran.run, refuse=True, note="not before the sale")
        resumed = days.resume(ran.run)

        assert resumed.exit_status == ExitStatus.FAILED
        assert days.version() == "1.0"
        assert days.version(environment="staging") == "2.0"
        assert "not before the sale" in end(resumed)["detail"]

    def test_without_an_answer_in_time_the_run_gives_up(self, days):
        ran = days.run(WHOLE)
        days.later(days=5)

        (waiting,) = days.waiting()
        with pytest.raises(OpsplayError, match="the time to answer was over"):
            days.answer(ran.run)
        resumed = days.resume(ran.run)

        assert waiting.ready
        assert resumed.exit_status == ExitStatus.FAILED
        assert days.version() == "1.0"
        assert "did not agree until 2026-11-28" in end(resumed)["detail"]
        assert count(resumed.events, "approved") == 0

    def test_an_approval_in_time_stands_however_late_the_run_goes_on(self, days):
        ran = days.run(WHOLE)
        days.answer(ran.run)
        days.later(days=30)

        assert days.resume(ran.run).exit_status == ExitStatus.DONE
        assert days.version() == "2.0"

    def test_nothing_to_publish_is_nothing_to_ask_for(self, days):
        days.place.offer("1.0")

        ran = days.run(WHOLE)

        assert ran.exit_status == ExitStatus.DONE
        assert not {"approval_asked", "waiting"} & set(kinds(ran))

    def test_what_came_out_since_is_neither_published_nor_in_the_way(self, days):
        ran = days.run(WHOLE)
        days.answer(ran.run)
        days.place.offer("3.0")

        resumed = days.resume(ran.run)

        assert resumed.exit_status == ExitStatus.DONE
        assert days.version() == "2.0"

    def test_a_site_that_changed_since_is_not_published(self, days):
        ran = days.run(WHOLE)
        days.place.offer("1.5")
        other = days.run("- name: N\n  steps: [{cms_update: {to: latest}}]", name="other.yaml")
        days.place.offer("2.0")
        days.answer(ran.run)

        resumed = days.resume(ran.run)

        assert other.exit_status == ExitStatus.DONE
        assert resumed.exit_status == ExitStatus.FAILED
        assert days.version() == "1.5"
        assert "agreed to: Paper 1.0 → 2.0" in end(resumed)["detail"]
        assert "would be done now: Paper 1.5 → 2.0" in end(resumed)["detail"]
        assert not {"lock_taken"} & set(_on_production(resumed))

    def test_a_site_that_somebody_brought_to_the_newest_is_left_alone(self, days):
        ran = days.run(WHOLE)
        days.place.offer("3.0")
        days.run("- name: N\n  steps: [{cms_update: {to: latest}}]", name="other.yaml")
        days.answer(ran.run)

        resumed = days.resume(ran.run)

        assert resumed.exit_status == ExitStatus.FAILED
        assert days.version() == "3.0"
        assert "newer than the rehearsed 2.0" in end(resumed)["detail"]

    def test_a_site_that_changes_between_approval_and_window_is_not_published(self, days):
        ran = days.run(
            REHEARSE + ASK + PUBLISH.replace("main", 'window: "22:00-05:00 UTC"\n  main')
        )
        days.answer(ran.run)
        approved = days.resume(ran.run)
        (days.place.root() / "version").write_text("1.5\n")
        days.later(hours=10)

        resumed = days.resume(ran.run)

        assert approved.exit_status == ExitStatus.WAITING
        assert of(approved, "waiting")[-1]["reason"] == "window"
        assert resumed.exit_status == ExitStatus.FAILED
        assert days.version() == "1.5"
        assert "would be done now: Paper 1.5 → 2.0" in end(resumed)["detail"]

    def test_a_step_without_rehearsal_publishes_only_what_was_approved_too(self, days):
        ran = days.run(ASK + PUBLISH.replace("rehearsed", "latest"))
        days.answer(ran.run)
        days.place.offer("3.0")

        resumed = days.resume(ran.run)

        assert resumed.exit_status == ExitStatus.FAILED
        assert "agreed to: Paper 1.0 → 2.0" in end(resumed)["detail"]
        assert "would be done now: Paper 1.0 → 3.0" in end(resumed)["detail"]
        assert untouched(days)

    def test_what_is_left_of_an_approved_change_is_done_to_its_end(self, days):
        then = "    - command: {run: 'echo then >> ../bakery-production.diary'}\n"
        ran = days.run(REHEARSE + ASK + PUBLISH.replace("rollback", "stop") + then)
        days.answer(ran.run)
        cut = days.resume(ran.run, **_stops_after("intent"))
        (days.place.root() / "schema").write_text("1.0\n")  # half done, as after a crash

        resumed = days.resume(ran.run)

        assert cut.exit_status == ExitStatus.INTERRUPTED
        assert resumed.exit_status == ExitStatus.DONE
        assert (days.place.root() / "schema").read_text() == "2.0\n"
        assert days.place.diary().count("then") == 1

    def test_what_nobody_agreed_to_is_not_begun_even_under_the_lock(self, days):
        ran = days.run(WHOLE)
        days.answer(ran.run)

        def meanwhile(event):
            if event.kind == "lock_taken" and event.data["environment"] == "production":
                (days.place.root() / "version").write_text("3.0\n")

        resumed = days.resume(ran.run, listener=meanwhile)

        assert resumed.exit_status in {ExitStatus.FAILED, ExitStatus.ROLLED_BACK}
        assert days.version() == "3.0"
        assert "update" not in days.place.diary()

    def test_an_answer_that_comes_just_while_the_question_is_looked_at_is_not_lost(self, days):
        ran = days.run(WHOLE)
        again = days.resume(ran.run)  # wrote `waiting` once more, after it had read the journal
        days.answer(ran.run)
        *others, answered = days.place.events
        last = max(number for number, event in enumerate(others) if event.kind == "waiting")
        raced = (*others[:last], answered, *others[last:])

        assert [one.run for one in resumable(raced, NOON, "")] == [ran.run]
        assert waiting_run(ran.run, raced, NOON).ready
        assert resumable(again.events, NOON, "") == ()

    def test_an_answer_is_taken_back_while_nobody_went_on(self, days):
        ran = days.run(WHOLE)

        days.answer(ran.run)
        twice = days.answer(ran.run)
        days.answer(ran.run, refuse=True)

        assert (twice.given, len(twice.before)) == ((), 1)
        assert days.resume(ran.run).exit_status == ExitStatus.FAILED
        assert days.version() == "1.0"

    def test_an_approval_for_another_list_does_not_count(self, days):
        ran = days.run(WHOLE)
        journal = app.journal(days.options)
        row = {"stage": "Ask", "step": 0, "plan_hash": "0" * 64, "by": "x", "who": "x", "note": ""}
        journal.append(ran.run, "approved", "bakery", row)
        journal.close()

        assert days.resume(ran.run).exit_status == ExitStatus.WAITING
        assert days.version() == "1.0"

    def test_a_run_that_asks_for_nothing_cannot_be_approved(self, days):
        days.place.offer("1.0")
        ran = days.run(WHOLE)

        with pytest.raises(OpsplayError, match="asks for no approval"):
            days.answer(ran.run)

    def test_it_cannot_be_approved_any_more_once_it_went_on(self, days):
        ran = days.run(WHOLE)
        days.answer(ran.run)
        days.resume(ran.run)

        with pytest.raises(OpsplayError, match="asks for no approval"):
            days.answer(ran.run, refuse=True)

    def test_a_cancelled_run_asks_nobody_any_more(self, days):
        ran = days.run(WHOLE)

        ended = cancel(ran.run, days.options, app.resume)

        assert ended.exit_status == ExitStatus.DONE
        assert of(ended, "run_finished")[-1]["state"] == "cancelled"
        assert days.waiting() == ()
        with pytest.raises(OpsplayError, match="asks for no approval"):
            days.answer(ran.run)
        assert days.version() == "1.0"

    def test_a_skipped_approval_holds_nobody_up(self, days):
        skipped = ASK.replace("within: 5 days}", "within: 5 days}\n      when: false")

        assert days.run(REHEARSE + skipped + PUBLISH).exit_status == ExitStatus.DONE
        assert days.version() == "2.0"

    def test_with_two_approvals_both_have_to_agree(self, days):
        both = ASK + "    - approve: {by: agency, within: 1 day}\n"
        ran = days.run(REHEARSE + both + PUBLISH)
        days.answer(ran.run)

        second = days.resume(ran.run)
        _, (asked,) = open_approvals(ran.run, days.options)

        assert second.exit_status == ExitStatus.WAITING
        assert (asked.step, asked.asking.asked.data["by"]) == (1, "agency")
        days.answer(ran.run)
        assert days.resume(ran.run).exit_status == ExitStatus.DONE
        assert days.version() == "2.0"

    def test_each_site_has_its_own_approval(self, two_sites):
        days = two_sites
        ran = days.run(WHOLE)

        days.answer(ran.run, site="florist")
        (waiting,) = days.waiting()
        resumed = days.resume(ran.run)

        assert waiting.ready
        assert {one.site for one in waiting.waits} == {"bakery", "florist"}
        assert resumed.exit_status == ExitStatus.WAITING
        assert (days.version("florist"), days.version("bakery")) == ("2.0", "1.0")
        assert count(resumed.events, "approval_asked") == 2

    def test_who_goes_ahead_is_not_overtaken_but_all_are_asked(self, two_sites):
        days = two_sites
        ran = days.run(WHOLE, head="serial: [1]\nmax_fail_percentage: 0")

        days.answer(ran.run, site="florist")
        resumed = days.resume(ran.run)

        assert count(ran.events, "approval_asked") == 2
        assert resumed.exit_status == ExitStatus.WAITING
        assert (days.version("florist"), days.version("bakery")) == ("1.0", "1.0")
        assert of(resumed, "waiting")[-1]["reason"] == "turn"
        days.answer(ran.run, site="bakery")
        assert days.resume(ran.run).exit_status == ExitStatus.DONE
        assert (days.version("florist"), days.version("bakery")) == ("2.0", "2.0")


def _on_production(ran):
    return [event.kind for event in ran.events if event.data.get("environment") == "production"]


ONCE = "    - command: {run: 'echo once >> ../bakery-production.diary'}\n"


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("answered", [False, True])
def test_killed_at_any_write_it_asks_once_and_publishes_once(tmp_path, monkeypatch, answered):
    died, point = True, 0
    while died:
        point += 1
        folder = tmp_path / str(point)
        monkeypatch.setenv("HOME", str(folder / "home"))
        days = Days(Workplace(folder).build())
        days.place.offer("2.0")
        days.place.playbook(REHEARSE + ASK + PUBLISH + ONCE)

        died = _killed_somewhere(days, point, answered=answered)

        ran = days.resume("last")
        if not answered:
            assert ran.exit_status == ExitStatus.WAITING, point
            assert days.version() == "1.0", point
            days.answer()
            ran = days.resume("last")
        assert ran.exit_status == ExitStatus.DONE, (point, end(ran))
        assert count(ran.events, "approval_asked") == 1, point
        assert (days.version(), days.place.diary().count("once")) == ("2.0", 1), point
    assert point > 10


def _killed_somewhere(days, point, *, answered):
    """Let a process die while it runs up to the question, or on from its answer."""
    book = days.place.folder / "ops/book.yaml"
    if answered:
        app.run(book, days.options)
        days.answer()
        return in_a_process_that_dies(point, lambda: app.resume("last", days.options))
    # From the first write on there is a run to go on with.
    return in_a_process_that_dies(point, lambda: app.run(book, days.options))
