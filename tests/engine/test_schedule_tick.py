"""Ticks on real sites of this machine, with a clock that only the test moves."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.engine.workplace import Workplace, in_a_process_that_dies

from opsplay.app import runs, schedules
from opsplay.app.ticking import tick
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.journal import Journal
from opsplay.kit.clock import FrozenClock

EVENING = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STAGES = """
- name: Note
  steps:
    - command: {run: 'echo done >> notes; sh ../hook 2> /dev/null', changes: a line}
"""


class Desk:
    """A controller whose clock stands still; `tick` returns what it did."""

    def __init__(self, place: Workplace) -> None:
        self.place, self.clock = place, FrozenClock(EVENING)
        self.options = replace(place.options, clock=self.clock)
        self.status = ExitStatus.DONE
        (place.folder / "ops" / "playbooks").mkdir()
        (place.folder / "hook").write_text("")

    def book(
        self, schedule: str, name: str = "night", stages: str = STAGES, head: str = ""
    ) -> None:
        self.place.playbook(stages, f"schedule: {schedule}\n{head}", f"playbooks/{name}.yaml")

    def tick(self, after: timedelta = timedelta(0), only: tuple[str, ...] = (), apart=None):
        self.clock.sleep(after.total_seconds())
        told: list = []
        self.status = tick(self.options, told.append, only, apart)
        return told

    def notes(self, site: str = "bakery") -> int:
        path = self.place.root(site) / "notes"
        return len(path.read_text().split()) if path.exists() else 0

    def slots(self) -> list[tuple[str, str]]:
        return [
            (event.data["slot"], site)
            for event in self.place.events
            if event.kind == "run_started" and "slot" in event.data
            for site in event.data["sites"]
        ]

    def rows(self):
        return schedules.standings(
            schedules.Memory(self.options), schedules.timetable(self.options), self.clock.now()
        )


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Desk(Workplace(tmp_path, sites=("bakery", "florist")).build())


def kinds_of(told):
    return [one.what for one in told]


def test_a_slot_is_started_when_it_comes_and_only_once(desk):
    desk.book("daily")

    assert desk.tick() == [], "the first sight starts nothing, and says nothing"
    assert desk.tick(6 * HOUR) == []
    assert kinds_of(desk.tick(HOUR)) == ["started"]
    assert desk.tick() == desk.tick(timedelta(minutes=1)) == []
    assert desk.slots() == [
        ("night@2026-11-23T03:00Z", "bakery"), ("night@2026-11-23T03:00Z", "florist"),
    ]  # fmt: skip
    assert desk.notes("bakery") == desk.notes("florist") == 1


def test_a_clock_that_jumps_back_starts_nothing_twice(desk):
    desk.book("daily")
    desk.tick()
    desk.tick(8 * HOUR)

    assert desk.tick(-3 * HOUR) == []
    assert desk.tick(3 * HOUR) == []
    assert desk.notes() == 1


@pytest.mark.parametrize(("misfire", "count"), [("latest", 1), ("all", 3), ("skip", 0)])
def test_ten_days_off_are_made_up_for_as_the_schedule_says(desk, misfire, count):
    desk.book(f"{{at: '0 3 */3 * *', misfire: {misfire}, overdue: 60d}}")
    desk.tick()

    told = desk.tick(10 * DAY)

    assert kinds_of(told) == ["started"] * count
    assert desk.notes() == count
    assert desk.tick() == []


def test_sites_begin_one_by_one_within_the_spread(desk):
    desk.book("{at: daily, spread: 1h}")
    desk.tick()
    desk.clock.sleep((7 * HOUR).total_seconds())

    started = {}
    for _ in range(12):
        for done in desk.tick(timedelta(minutes=5)):
            started.update(dict.fromkeys(done.sites, desk.clock.now()))

    assert set(started) == {"bakery", "florist"}
    assert len(set(started.values())) == 2
    due = {row.site: row.next.due - DAY for row in desk.rows()}
    assert all(timedelta(0) <= started[site] - due[site] < HOUR / 12 for site in started)
    assert {slot for slot, _ in desk.slots()} == {"night@2026-11-23T03:00Z"}


def test_a_site_that_is_at_work_waits_for_the_next_tick_and_the_others_do_not(desk):
    desk.book("daily")
    desk.tick()
    locks = desk.options.state / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / "bakery.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        told = desk.tick(8 * HOUR)

    assert kinds_of(told) == ["busy", "started"]
    assert desk.notes("bakery") == 0
    assert desk.notes("florist") == 1
    assert [one.sites for one in desk.tick()] == [("bakery",)]
    assert desk.notes("bakery") == 1


def test_a_tick_that_finds_another_at_work_on_a_schedule_leaves_it_and_ends_well(desk):
    desk.book("daily")
    desk.book("daily", "morning")
    desk.tick()
    desk.clock.sleep((8 * HOUR).total_seconds())
    with schedules.schedule_lock(desk.options, "night") as holder:
        told = desk.tick()

    assert holder == ""
    assert [(one.what, one.name) for one in told] == [("started", "morning"), ("busy", "night")]
    assert f"process {os.getpid()}" in told[1].text
    assert desk.status == ExitStatus.DONE
    assert [one.name for one in desk.tick()] == ["night"]


def test_one_broken_playbook_does_not_stop_the_others(desk):
    desk.book("daily")
    desk.tick()
    desk.book("daily", "broken", stages="- {name: Nothing, stesp: []}\n")
    desk.book("{at: daly}", "typo")

    told = desk.tick(8 * HOUR)

    assert sorted((one.what, one.name) for one in told) == [
        ("invalid", "broken"), ("invalid", "typo"), ("started", "night"),
    ]  # fmt: skip
    assert desk.status == ExitStatus.INVALID


def test_a_changed_schedule_starts_nothing_of_the_past(desk):
    desk.book("quarterly")
    desk.tick()
    desk.tick(10 * DAY)
    desk.book("daily")

    assert desk.tick() == []
    assert kinds_of(desk.tick(DAY)) == ["started"]


def test_the_status_of_a_tick_is_the_worst_of_its_runs(desk):
    desk.book("daily")
    desk.tick()
    (desk.place.folder / "hook").write_text("exit 3")

    (done,) = desk.tick(8 * HOUR)

    assert done.exit_status == desk.status == ExitStatus.FAILED
    assert "failed" in done.text
    assert desk.tick() == [], "a failed slot is not tried again"


def test_a_run_whose_process_died_is_taken_up_by_the_next_tick(desk):
    desk.book("daily")
    desk.tick()
    desk.clock.sleep((8 * HOUR).total_seconds())
    # Dies after the run has begun, before anything was done.
    assert in_a_process_that_dies(3, lambda: tick(desk.options, lambda _done: None))

    told = desk.tick(timedelta(minutes=1))

    assert kinds_of(told) == ["resumed"]
    assert "cut short" in told[0].text
    assert desk.notes("bakery") == desk.notes("florist") == 1
    assert desk.tick() == []


def test_a_run_that_waits_for_its_window_goes_on_when_it_opens(desk):
    night = '  window: "22:00-05:00 UTC"\n'
    desk.book('"0 12 * * *"', stages=STAGES.replace("- name: Note\n", f"- name: Note\n{night}"))
    desk.tick()

    (begun,) = desk.tick(16 * HOUR)
    assert begun.exit_status == ExitStatus.WAITING
    assert desk.notes() == 0
    assert desk.tick(9 * HOUR) == []
    assert kinds_of(desk.tick(HOUR)) == ["resumed"]
    assert desk.notes() == 1
    assert desk.tick() == []


def test_a_run_that_lacks_is_overdue_until_one_ends_well(desk):
    desk.book("{at: daily, overdue: 2h}")
    desk.tick()
    (desk.place.folder / "hook").write_text("exit 3")
    desk.tick(8 * HOUR)

    told = desk.tick(HOUR)
    assert kinds_of(told) == ["overdue", "overdue"]
    assert desk.status == ExitStatus.FAILED
    assert "last good run: never" in told[0].text
    late = [one for one in schedules.findings(desk.options) if not one.good]
    assert [one.subject for one in late] == ["overdue: night", "overdue: night"]
    (desk.place.folder / "hook").write_text("")
    assert kinds_of(desk.tick(22 * HOUR)) == ["started"]
    assert desk.tick() == []
    assert all(one.good for one in schedules.findings(desk.options))


PROMISES = """    vault: here
    promises: {drill_every: month}
    environments:
"""
DRILLS = """
- name: Prove the backup
  steps: [restore_drill: {}]
"""


def test_a_drill_that_lacks_is_overdue_until_one_succeeds(desk, monkeypatch):
    path = desk.place.folder / "ops" / "inventory" / "sites.yaml"
    promised = path.read_text().replace("    environments:\n", PROMISES, 1)
    path.write_text(f"{promised}vaults: {{here: {{kind: memory}}}}\n")

    with watcher() as (url, asked):
        monkeypatch.setenv("WATCHER", f"{url}/drills")
        desk.book('{at: yearly, ping: {secret: "env:WATCHER"}}', "drills", DRILLS)
        first = desk.tick()
        told = desk.tick(32 * DAY)
        status, fixes = desk.status, [one.fix for one in schedules.findings(desk.options)]
        verdict(desk, "FAILED")
        still = desk.tick()
        verdict(desk, "SUCCESSFUL")
        kept = desk.tick()

    assert first == kept == []
    (alarm,) = told
    assert (alarm.what, status) == ("overdue", ExitStatus.FAILED)
    assert alarm.text == "bakery: no successful drill yet, promised every month"
    assert still == told
    assert "opsplay drill bakery" in fixes
    assert asked == ["/drills", "/drills/fail", "/drills/fail", "/drills"]


def verdict(desk, word: str) -> None:
    """Journal how a drill of bakery ended, as `engine.drill` does."""
    opened = Journal(desk.options.state / "journal.db", desk.clock)
    opened.append("20261122T200000-aa11bb", "drill_verdict", "bakery", {"verdict": word})
    opened.close()


def test_the_doctor_says_when_nobody_ticks(desk):
    desk.book("daily")
    before = list(schedules.findings(desk.options))
    desk.tick()
    ticking = list(schedules.findings(desk.options))
    desk.clock.sleep(HOUR.total_seconds())
    after = list(schedules.findings(desk.options))

    assert [one.good for one in before] == [False, True]
    assert before[0].fix == "opsplay schedule.install"
    assert [one.good for one in ticking] == [True]
    assert next(one.told for one in after) == "what starts them has stopped"


def test_an_unknown_schedule_is_refused_by_name(desk):
    desk.book("daily")

    with pytest.raises(InvalidInput, match="no playbook 'nightly' has a schedule"):
        desk.tick(only=("nightly",))


def test_apart_hands_each_run_over_and_waits_for_none(desk):
    desk.book("daily")
    desk.tick()
    handed = []

    told = desk.tick(8 * HOUR, apart=lambda words, log: handed.append((*words, log)))

    assert kinds_of(told) == ["begun"]
    assert handed == [("schedule.tick", "--only", "night", "--quiet", "night.log")]
    assert desk.notes() == 0
    assert kinds_of(desk.tick(only=("night",))) == ["started"]


@contextmanager
def watcher(status: int = 200):
    """A web server that remembers what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_watcher_hears_of_each_tick_and_whether_all_is_well(desk, monkeypatch):
    with watcher() as (url, asked):
        monkeypatch.setenv("WATCHER", f"{url}/t0ken")
        desk.book('{at: daily, overdue: 2h, ping: {secret: "env:WATCHER"}}')
        desk.tick()
        (desk.place.folder / "hook").write_text("exit 3")
        desk.tick(8 * HOUR)
        desk.tick(3 * HOUR)
        (desk.place.folder / "hook").write_text("")
        desk.tick(DAY)

    assert asked == ["/t0ken", "/t0ken/fail", "/t0ken/fail", "/t0ken"]
    assert "t0ken" not in str([event.data for event in desk.place.events])


def test_a_watcher_that_cannot_be_told_changes_nothing_but_is_spoken_of(desk):
    with watcher(500) as (url, asked):
        desk.book(f"{{at: daily, ping: {url}/t0ken}}")
        refused = desk.tick()
    gone = desk.tick(8 * HOUR)

    assert asked == ["/t0ken"]
    assert [one.text for one in refused] == [
        "night: the watcher was not told: it answered with status 500"
    ]
    assert kinds_of(gone) == ["started", "ping"]
    assert gone[1].text == "night: the watcher was not told: no answer (ConnectError)"
    assert desk.status == ExitStatus.DONE


def test_a_watcher_whose_address_cannot_be_had_is_spoken_of(desk):
    desk.book('{at: daily, ping: {secret: "env:NO_SUCH_VARIABLE"}}')

    (done,) = desk.tick()

    assert (done.what, desk.status) == ("ping", ExitStatus.DONE)
    assert "NO_SUCH_VARIABLE is not set" in done.text


def test_a_slot_that_another_controller_began_in_the_same_moment_is_yielded_to_it(desk):
    desk.book("daily")
    options = replace(desk.options, slot="night@2026-11-22T03:00Z", limit="bakery")
    path = desk.place.folder / "ops" / "playbooks" / "night.yaml"

    first = runs.run(path, options)
    second = runs.run(path, replace(options, limit=""))

    assert second.events[-1].data["yielded_to"] == first.run
    assert (desk.notes("bakery"), desk.notes("florist")) == (1, 0)
    known = schedules.Memory(desk.options).records()
    schedule = schedules.timetable(desk.options).scheduled[0].schedule
    assert known.past(schedule, "night", "florist").started == frozenset()


def test_two_controllers_on_one_journal_start_a_slot_once(desk):
    desk.book("daily")
    desk.tick()
    desk.clock.sleep((8 * HOUR).total_seconds())
    # The other one has locks of its own: only the journal can keep the two apart.
    begin = threading.Barrier(2)
    other = replace(desk.options, state=desk.place.folder / "other")
    other.state.mkdir()
    (other.state / "journal.db").symlink_to(desk.options.state / "journal.db")
    found: list = []

    def work(options) -> None:
        begin.wait()
        tick(options, found.append)

    threads = [threading.Thread(target=work, args=(one,)) for one in (desk.options, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert desk.notes("bakery") == desk.notes("florist") == 1
