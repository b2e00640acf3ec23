"""What the journal says of schedules: started slots, good runs, and runs to take up again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from opsplay.core.event import Event
from opsplay.core.schedule import Schedule
from opsplay.engine.schedule_past import moment_of, records, rival, slot_id, unseen
from opsplay.engine.schedule_resume import MOST_TRIES, PAUSE, resumable

DAILY = Schedule("0 3 * * *", "daily")
START = datetime(2026, 11, 20, 3, tzinfo=UTC)
SLOT = "backup@2026-11-20T03:00Z"
HERE = "me@desk"
OVER = "need not wait any more"


class Book:
    """A journal of a few events, a minute after another."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.now = START

    def add(self, kind, run="a", site="", after=timedelta(minutes=1), **data):
        self.now += after
        number = len(self.events) + 1
        self.events.append(Event(number, run, self.now, kind, site, data, "", ""))
        return self

    def run(self, run="a", sites=("bakery",), slot=SLOT, **more):
        data = {"command": "run", "file": "playbooks/backup.yaml", "tags": [], "user": HERE, **more}
        return self.add(
            "run_started", run, sites=list(sites), **data, **({"slot": slot} if slot else {})
        )

    def site(self, state, run="a", site="bakery"):
        return self.add("site_finished", run, site, state=state)

    def end(self, status=0, run="a", **more):
        return self.add("run_finished", run, exit_status=status, state="ok", **more)

    def past(self, site="bakery", schedule=DAILY):
        return records(self.events).past(schedule, "backup", site)

    def resumable(self, after=timedelta(0), machine="desk"):
        return [(one.run, one.why) for one in resumable(self.events, self.now + after, machine)]


@pytest.fixture
def book():
    return Book()


def test_a_slots_name_tells_schedule_and_moment():
    assert moment_of(slot_id("shop@night", START)) == ("shop@night", START)


def test_a_started_slot_is_known_for_the_sites_of_its_run_only(book):
    book.run(sites=["bakery"])

    assert book.past("bakery").started == {START}
    assert book.past("florist").started == frozenset()
    assert book.past("bakery").last_state == "unfinished"


def test_a_run_by_hand_is_a_good_run_too_but_not_with_tags(book):
    book.run("a", slot="").site("changed", "a").end(run="a")
    by_hand = book.past().last_good
    book.run("b", slot="", tags=["fast"]).site("ok", "b").end(run="b")

    assert by_hand == book.events[0].at
    assert book.past().last_good == by_hand
    assert book.past().started == frozenset()


@pytest.mark.parametrize("state", ["failed", "rolled-back", "unreachable", "skipped", "waiting"])
def test_only_a_site_that_ended_well_had_a_good_run(book, state):
    book.run().site(state).end(1)

    assert book.past().last_good is None
    assert book.past().last_state == state


def test_a_changed_schedule_is_a_new_one(book):
    book.add("schedule_seen", name="backup", sites=["bakery"], identity=DAILY.identity)
    other = Schedule("0 * * * *", "hourly")

    assert book.past().known_since == book.events[0].at
    assert book.past(schedule=other).known_since is None
    found = records(book.events)
    assert list(unseen(found, {"backup": (DAILY, ["bakery"])})) == []
    (new,) = unseen(found, {"backup": (DAILY, ["bakery", "florist"])})
    assert new["sites"] == ["florist"]
    (changed,) = unseen(found, {"backup": (other, ["bakery"])})
    assert changed["sites"] == ["bakery"]


def test_of_two_controllers_that_begin_a_slot_at_once_the_second_yields(book):
    book.run("a").run("b", sites=["bakery", "florist"])

    assert rival(book.events, "a") == ""
    assert rival(book.events, "b") == "a"


def test_what_yielded_counts_as_nothing(book):
    book.run("a").run("b", sites=["bakery", "florist"]).end(run="b", yielded_to="a")
    book.run("c", sites=["florist"])

    assert rival(book.events, "c") == ""
    assert records(book.events[:-1]).past(DAILY, "backup", "florist").started == frozenset()


def test_other_slots_and_other_sites_are_no_rivals(book):
    book.run("a").run("b", sites=["florist"]).run("c", slot="backup@2026-11-21T03:00Z")

    assert rival(book.events, "b") == rival(book.events, "c") == ""


def test_a_run_without_an_end_was_cut_short(book):
    book.run("a").run("b", slot="").end(run="b")

    assert book.resumable() == [("a", "cut short")]


def test_what_another_machine_began_is_left_to_it(book):
    book.run("a")

    assert book.resumable(machine="elsewhere") == []
    book.add("run_resumed", user="you@elsewhere")
    assert book.resumable(machine="elsewhere") == [("a", "cut short")]


def test_a_run_that_is_cut_short_again_and_again_is_given_up(book):
    book.run("a")
    for _ in range(MOST_TRIES):
        assert not resumable(book.events, book.now, "desk")[0].given_up
        book.add("run_resumed", user=HERE)

    assert resumable(book.events, book.now, "desk")[0].given_up


NIGHT = {"opens": 22 * 60, "closes": 24 * 60, "timezone": "UTC", "days": [0, 1, 2, 3, 4, 5, 6]}


def wait(book, reason, until):
    place = {"stage": "Publish", "step": 0 if reason == "approval" else -1}
    more = {"window": NIGHT} if reason == "window" else {}
    if reason == "approval":
        book.add("approval_asked", site="bakery", **place, plan_hash="same", expires=until)
    data = {"reason": reason, "until": until, "detail": "waits", **place, **more}
    return book.add("waiting", site="bakery", **data).site("waiting").end(5)


def waiting(book, reason, until):
    return wait(book.run("a").add("site_started", site="bakery"), reason, until)


def go_on(book):
    return book.add("run_resumed", user=HERE).add("site_started", site="bakery")


def test_a_run_goes_on_when_its_window_opens(book):
    opens = START + timedelta(hours=19)
    waiting(book, "window", opens.isoformat())

    assert book.resumable() == []
    assert book.resumable(opens - book.now) == [("a", OVER)]


@pytest.mark.parametrize("answer", ["approved", "refused"])
def test_a_run_goes_on_when_somebody_answered(book, answer):
    waiting(book, "approval", (START + timedelta(days=5)).isoformat())

    assert book.resumable() == []
    book.add(answer, site="bakery", stage="Publish", step=0, plan_hash="same")
    assert book.resumable() == [("a", OVER)]


def test_a_run_goes_on_when_nobody_answered_in_time(book):
    waiting(book, "approval", (START + timedelta(days=5)).isoformat())

    assert book.resumable(timedelta(days=6)) == [("a", OVER)]


def test_a_run_that_waits_again_is_not_taken_up_for_the_answer_it_had(book):
    waiting(book, "approval", (START + timedelta(days=5)).isoformat())
    go_on(book.add("approved", site="bakery", stage="Publish", step=0, plan_hash="same"))
    wait(book, "window", (START + timedelta(hours=19)).isoformat())

    assert book.resumable() == []
    assert book.resumable(timedelta(hours=19)) == [("a", OVER)]


def test_a_run_that_is_done_waits_no_more(book):
    waiting(book, "window", START.isoformat())
    go_on(book).site("changed").end()

    assert book.resumable(timedelta(days=9)) == []


@pytest.mark.parametrize(("status", "why"), [(6, "locked before"), (8, "unreachable before")])
def test_a_scheduled_run_that_could_not_is_tried_again_after_longer_and_longer_pauses(
    book, status, why
):
    book.run("a").end(status)

    assert book.resumable(PAUSE - timedelta(seconds=1)) == []
    assert book.resumable(PAUSE) == [("a", why)]
    book.add("run_resumed", user=HERE).end(status)
    assert book.resumable(PAUSE) == []
    assert book.resumable(2 * PAUSE) == [("a", why)]
    assert book.resumable(timedelta(days=2)) == []


def test_what_was_submitted_is_looked_after_by_workers(book):
    book.run("a", submitted=True)

    assert book.resumable() == []


def test_with_a_shared_journal_any_machine_takes_up_what_died(book):
    book.run("a")

    assert book.resumable(machine="") == [("a", "cut short")]


def test_a_run_by_hand_that_could_not_is_left_to_the_hand(book):
    book.run("a", slot="").end(8)

    assert book.resumable(timedelta(hours=1)) == []
