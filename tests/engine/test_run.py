"""Whole runs on this machine: steps, brackets, verdicts, the way back. Real sh, no network."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.engine.workplace import Workplace, count

from opsplay import app
from opsplay.core.errors import ExitStatus, InvalidInput, LineCut, OpsplayError, Unreachable
from opsplay.core.event import State
from opsplay.engine import job as jobs
from opsplay.engine.line import SiteResult
from opsplay.engine.runner import exit_status_of, state_of_run
from opsplay.engine.tools import Stop
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real

SAY = "- command: {run: 'echo %s >> ../%s-production.diary'}"


def said(word, site="bakery"):
    return SAY % (word, site)


def stage(*steps, **settings):
    lines = [f"  {key}: {value}" for key, value in settings.items()]
    return "\n".join(["- name: Work", *lines, "  steps:", *(f"    {one}" for one in steps), ""])


def of(result, kind, *names):
    return [
        tuple(event.data[name] for name in names) if len(names) > 1 else event.data[names[0]]
        for event in result.events
        if event.kind == kind
    ]


def finish(result):
    return result.events[-2].data


def test_what_is_done_is_journalled_before_and_after(workplace):
    ran = workplace.run(stage(said("one"), "- file: {path: robots.txt, content: x}"))

    assert ran.exit_status == ExitStatus.DONE
    kinds = [event.kind for event in ran.events]
    assert kinds.index("intent") < kinds.index("result") < kinds.index("step_finished")
    assert kinds.count("intent") == kinds.count("result") == 2
    assert of(ran, "step_finished", "state") == ["changed", "changed"]
    assert ran.events[-1].data["state"] == "changed"
    assert ran.events[-1].data["round_trips"] == ran.round_trips


def test_the_first_failure_ends_the_site_and_frees_the_lock(workplace):
    ran = workplace.run(
        stage(said("one"), "- command: {run: 'echo why >&2; exit 7'}", said("three"))
    )

    assert ran.exit_status == ExitStatus.FAILED
    assert workplace.diary() == ["one"]
    assert "exit status 7" in finish(ran)["detail"]
    assert "why" in finish(ran)["detail"]
    assert (count(ran.events, "lock_taken"), count(ran.events, "lock_freed")) == (1, 1)
    assert of(ran, "result", "outcome") == ["done", "failed"]


def test_a_retry_is_journalled_and_its_success_counts(workplace):
    flaky = "echo x >> ../tries; [ $(wc -l < ../tries) -ge 3 ] || { echo not yet >&2; exit 1; }"
    ran = workplace.run(
        stage(f"- command: {{run: '{flaky}'}}", "  retries: 3", "  delay: 0.01", said("after"))
    )

    assert ran.exit_status == ExitStatus.DONE
    assert of(ran, "retry", "attempt") == [1, 2]
    assert all("not yet" in error for error in of(ran, "retry", "error"))
    assert workplace.diary() == ["after"]


def test_retries_come_to_an_end(workplace):
    ran = workplace.run(stage("- command: {run: 'exit 1'}", "  retries: 2", "  delay: 0.01"))

    assert ran.exit_status == ExitStatus.FAILED
    assert (count(ran.events, "retry"), count(ran.events, "intent")) == (2, 3)


def test_a_step_that_was_done_and_is_still_to_do_has_failed(workplace):
    ran = workplace.run(stage("- command: {run: 'true', unless: 'test -e made'}"))

    assert ran.exit_status == ExitStatus.FAILED
    assert "read back it still has to change" in finish(ran)["detail"]


def test_results_reach_later_steps_and_stages(workplace):
    ran = workplace.run(
        stage("- command: {run: 'echo noise; echo loud'}", "  register: out")
        + stage(
            "- command: {run: 'echo \"{{ out.output }}\" >> ../bakery-production.diary'}",
            said("quiet"), "  when: out.output == 'quiet'", said("changed"), "  when: out.state == 'changed'",
        ).replace("Work", "Then")
        + stage(said("never"), when="out.output == 'quiet'").replace("Work", "Or")
    )  # fmt: skip

    assert ran.exit_status == ExitStatus.DONE, finish(ran)
    assert workplace.diary() == ["noise", "loud", "changed"]
    assert of(ran, "step_finished", "state") == [
        "changed",
        "changed",
        "skipped",
        "changed",
        "skipped",
    ]


def test_a_second_run_of_fulfilled_wishes_asks_once_and_does_nothing(workplace):
    wishes = stage(
        "- file: {path: robots.txt, content: x, mode: '600'}",
        "- command: {run: 'touch made', unless: 'test -e made'}",
        maintenance="true", on_failure="rollback",
    )  # fmt: skip
    workplace.run(wishes)

    again = workplace.run(wishes)

    assert again.exit_status == ExitStatus.DONE
    assert again.round_trips == {"local": 1}
    assert set(of(again, "step_finished", "state")) == {"ok"}
    assert not {"lock_taken", "intent", "bracket_opening"} & {one.kind for one in again.events}


BRACKETS = {"maintenance": "true", "on_failure": "rollback"}


def test_brackets_close_when_all_is_well(workplace):
    workplace.offer("2.0")
    ran = workplace.run(stage("- cms_update: {to: latest}", **BRACKETS))

    assert ran.exit_status == ExitStatus.DONE, finish(ran)
    assert workplace.diary() == ["close", "save", "update", "open"]
    assert finish(ran)["downtime_seconds"] > 0
    assert of(ran, "bracket_closing", "verdict") == ["changed"]


def test_a_failure_goes_back_newest_first_and_lets_visitors_in(workplace):
    workplace.offer("2.0")
    before = (workplace.root() / "version").read_text()
    (workplace.root() / "a.txt").write_text("old")
    ran = workplace.run(
        stage(
            "- file: {path: a.txt, content: new}", "- cms_update: {to: latest}",
            "- file: {path: b.txt, content: new}", "- command: {run: 'exit 3'}", **BRACKETS
        )
    )  # fmt: skip

    assert ran.exit_status == ExitStatus.ROLLED_BACK
    assert (workplace.root() / "version").read_text() == before
    assert (workplace.root() / "a.txt").read_text() == "old"
    assert not (workplace.root() / "b.txt").exists()
    undone = of(ran, "undo_intent", "what")
    assert undone == ["file b.txt", "file a.txt", "restore point"]
    assert workplace.diary() == ["close", "save", "update", "close", "put-back", "open"]
    assert of(ran, "rollback_finished", "state") == ["rolled-back"]


def test_a_way_back_that_fails_keeps_the_door_closed_and_says_so(workplace):
    spoil = "rm -rf $OPSPLAY_RUN_DIR/restore-point; exit 3"
    ran = workplace.run(stage(f"- command: {{run: '{spoil}'}}", **BRACKETS))

    assert ran.exit_status == ExitStatus.FAILED
    assert "going back failed too" in finish(ran)["detail"]
    assert workplace.diary()[-1] == "put-back"
    assert list(workplace.folder.glob("*.closed"))
    assert count(ran.events, "lock_freed") == 0


def test_a_rollback_that_does_not_bring_the_old_state_back_is_no_rollback(workplace):
    spoil = "echo 9.9 > $OPSPLAY_RUN_DIR/restore-point/files/version; exit 3"
    ran = workplace.run(stage(f"- command: {{run: '{spoil}'}}", **BRACKETS))

    assert ran.exit_status == ExitStatus.FAILED
    assert "core is 9.9, was 1.0" in finish(ran)["detail"]


def stopping_at(workplace, kind, times=1):
    stop = Stop()

    def listen(event):
        if event.kind == kind:
            for _ in range(times):
                stop.request()

    return replace(workplace.options, stop=stop, listener=listen)


def test_a_stop_between_steps_closes_every_bracket(workplace):
    book = workplace.playbook(stage(said("one"), said("two"), **BRACKETS))

    ran = app.run(book, stopping_at(workplace, "step_finished"))

    assert ran.exit_status == ExitStatus.INTERRUPTED
    assert [word for word in workplace.diary() if word in {"one", "two"}] == ["one"]
    assert not list(workplace.folder.glob("*.closed"))
    assert count(ran.events, "lock_freed") == 1
    assert of(ran, "rollback_finished", "state") == ["rolled-back"]


def test_a_stop_in_a_plain_stage_leaves_the_rest_of_it_to_a_resume(workplace):
    book = workplace.playbook(stage(said("one"), said("two"), maintenance="true"))

    stopped = app.run(book, stopping_at(workplace, "step_finished"))
    between = list(workplace.folder.glob("*.closed"))
    resumed = app.resume("last", workplace.options)

    assert (stopped.exit_status, resumed.exit_status) == (ExitStatus.INTERRUPTED, ExitStatus.DONE)
    assert between == []
    assert [word for word in workplace.diary() if word in {"one", "two"}] == ["one", "two"]


def test_a_stop_leaves_the_sites_behind_to_a_resume(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = Workplace(tmp_path, sites=("a", "b")).build()
    say = "- command: {run: 'echo x >> ../{{ site.name }}-production.diary'}"
    book = place.playbook(stage(say), head="serial: 1")

    stopped = app.run(book, stopping_at(place, "site_finished"))
    resumed = app.resume("last", place.options)

    assert (stopped.exit_status, resumed.exit_status) == (ExitStatus.INTERRUPTED, ExitStatus.DONE)
    assert (
        "before its turn" in [one for one in stopped.events if one.site == "b"][-1].data["detail"]
    )
    assert (place.diary("a"), place.diary("b")) == (["x"], ["x"])


def test_a_failure_stops_the_line_and_a_resume_does_not_pass_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = Workplace(tmp_path, sites=("a", "b", "c")).build()
    say = "- command: {run: 'echo x >> ../{{ site.name }}-production.diary; exit 1'}"

    ran = place.run(stage(say), head="serial: 1\nmax_fail_percentage: 0")

    assert ran.exit_status == ExitStatus.FAILED
    assert [place.diary(site) for site in "abc"] == [["x"], [], []]
    states = {one.site: one.data["state"] for one in ran.events if one.kind == "site_finished"}
    assert states == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert app.resume("last", place.options).exit_status == ExitStatus.FAILED
    assert [place.diary(site) for site in "abc"] == [["x"], [], []]


def test_sites_of_a_batch_are_at_work_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = Workplace(tmp_path, sites=("a", "b")).build()
    meet = "touch ../{{ site.name }}.here; for i in $(seq 100); do [ $(ls .. | grep -c here) = 2 ] && exit; sleep 0.1; done; exit 1"

    assert place.run(stage(f"- command: {{run: '{meet}'}}")).exit_status == ExitStatus.DONE


def test_nothing_is_done_when_nobody_agrees(workplace):
    options = replace(workplace.options, confirm=lambda plan: not plan.pending)

    ran = app.run(workplace.playbook(stage(said("one"))), options)

    assert (ran.exit_status, workplace.diary()) == (ExitStatus.INTERRUPTED, [])


def test_the_lock_of_another_run_is_respected(workplace):
    ran = workplace.run(stage(said("one")))
    lock = workplace.folder / "home/.opsplay/locks"
    assert list(lock.iterdir()) == []
    hold = stage("- command: {run: 'cp -a $HOME/.opsplay/locks/* ../kept'}")
    assert workplace.run(hold).exit_status == ExitStatus.DONE
    name = _lock_name(workplace)
    (workplace.folder / "kept").rename(lock / name)

    refused = workplace.run(stage(said("two")))

    assert refused.exit_status == ExitStatus.LOCKED
    assert workplace.diary() == ["one"]
    assert "is held by run" in finish(refused)["detail"]
    assert ran.run not in finish(refused)["detail"]


def _lock_name(workplace):
    from opsplay.core.environment import Environment, Host
    from opsplay.core.site import Site
    from opsplay.engine.lock import lock_name

    here = Environment("production", Host("local"), str(workplace.root()), "")
    return lock_name(Site("x", "x", {"production": here}))


class Cutting(LocalTransport):
    """The line breaks after the start of a job has arrived, for the next `cuts` calls about jobs."""

    cuts = 0

    def run(self, script, *, stdin=b"", timeout=60.0):
        answer = super().run(script, stdin=stdin, timeout=timeout)
        if "/.opsplay/jobs/" in script and "alive()" in script and Cutting.cuts > 0:
            Cutting.cuts -= 1
            raise LineCut("the line broke")
        return answer


@pytest.fixture
def cutting(monkeypatch):
    from opsplay.app import workshop

    monkeypatch.setattr(workshop, "open_transport", Cutting)
    monkeypatch.setattr(
        "opsplay.kit.clock.SystemClock.sleep", lambda _self, _seconds: None
    )  # nobody waits between attempts

    def cut(times):
        monkeypatch.setattr(Cutting, "cuts", times)

    return cut


def test_an_act_whose_line_is_cut_for_long_is_done_once(workplace, cutting):
    cutting(45)  # more than twice what one call tries

    ran = workplace.run(stage(said("once")))

    assert ran.exit_status == ExitStatus.DONE
    assert workplace.diary() == ["once"]
    assert count(ran.events, "intent") == 1
    assert of(ran, "result", "outcome") == ["unknown", "unknown", "done"]


def test_a_line_that_stays_away_leaves_the_act_to_a_resume(workplace, cutting):
    cutting(99)
    cut = workplace.run(stage(said("once")))
    cutting(0)

    resumed = app.resume("last", workplace.options)

    assert (cut.exit_status, resumed.exit_status) == (ExitStatus.UNREACHABLE, ExitStatus.DONE)
    assert workplace.diary() == ["once"]


def test_a_script_that_did_not_arrive_whole_is_never_run(workplace):
    data = jobs.payload("echo whole >> $HOME/did\necho more >> $HOME/did\n", {})
    line = LocalTransport(workplace_host())

    for end in range(len(data)):
        assert not line.run(jobs.start_script("j", "r/x", 1), stdin=data[:end]).ok
    assert not (workplace.folder / "home/did").exists()
    assert line.run(jobs.start_script("j", "r/x"), stdin=data).ok
    assert (workplace.folder / "home/did").read_text() == "whole\nmore\n"


def workplace_host():
    from opsplay.core.environment import Host

    return Host("local")


def test_a_run_is_taken_back_by_a_step(workplace):
    (workplace.root() / "a.txt").write_text("old")
    first = workplace.run(stage("- file: {path: a.txt, content: new}"))
    assert (workplace.root() / "a.txt").read_text() == "new"

    back = workplace.run(stage("- rollback: {run: last}"))

    assert back.exit_status == ExitStatus.DONE, finish(back)
    assert (workplace.root() / "a.txt").read_text() == "old"
    assert first.run in of(back, "step_finished", "detail")[0]


def test_a_run_that_changed_nothing_that_can_be_undone_is_not_taken_back(workplace):
    workplace.run(stage(said("one")))

    with pytest.raises(OpsplayError, match=r"no run changed|changed nothing"):
        app.rollback("last", workplace.options)
    back = workplace.run(stage("- rollback: {run: last}"))
    assert "no run changed production" in finish(back)["detail"]


def test_only_production_is_taken_back(workplace):
    workplace.run(stage("- file: {path: a.txt, content: new}", environment="staging"))

    with pytest.raises(OpsplayError, match=r"no run changed|changed nothing"):
        app.rollback("last", workplace.options)


def test_a_rehearsal_publishes_what_it_brought_and_nothing_newer(workplace):
    workplace.offer("2.0")
    newer = "echo 3.0 > $(pwd | sed s/staging$/production/).offer"
    rehearse = stage(
        "- staging_clone: {from: production}", "- cms_update: {to: latest}",
        f"- command: {{run: '{newer}'}}", environment="staging", prepares="Publish",
    )  # fmt: skip
    publish = stage("- cms_update: {to: rehearsed}", **BRACKETS).replace("Work", "Publish")

    ran = workplace.run(rehearse + publish)

    assert ran.exit_status == ExitStatus.DONE, finish(ran)
    assert (workplace.root() / "version").read_text() == "2.0\n"
    assert (workplace.root("bakery", "staging") / "safe").exists()


def test_a_resume_of_a_finished_run_does_nothing_and_says_how_it_ended(workplace):
    ran = workplace.run(stage(said("one"), "- command: {run: 'exit 1'}"))

    again = app.resume(ran.run[:12], workplace.options)

    assert again.exit_status == ExitStatus.FAILED
    assert workplace.diary() == ["one"]


def test_a_playbook_with_mistakes_journals_nothing(workplace):
    with pytest.raises(InvalidInput):
        workplace.run(stage("- comand: {run: x}"))

    assert not workplace.options.state.exists()


def outcome(status, state=State.OK):
    return SiteResult("x", state, status)


@pytest.mark.parametrize(
    ("statuses", "expected", "state"),
    [
        ((), 0, "ok"), ((0, 0), 0, "ok"), ((0, 1), 1, "failed"), ((1, 3), 1, "failed"),
        ((3, 8, 0), 3, "rolled-back"), ((8, 6), 8, "unreachable"), ((6, 0), 6, "failed"),
        ((130, 1, 3), 130, "unknown"), ((5, 0), 5, "waiting"), ((2, 8), 2, "failed"),
    ],
)  # fmt: skip
def test_a_run_ends_with_the_worst_of_its_sites(statuses, expected, state):
    results = [outcome(ExitStatus(status)) for status in statuses]

    assert exit_status_of(results) == expected
    assert state_of_run(exit_status_of(results), results) == state
    changed = [*results, outcome(ExitStatus.DONE, State.CHANGED)]
    if expected == 0:
        assert state_of_run(ExitStatus.DONE, changed) == State.CHANGED


def test_every_exit_status_of_a_site_has_its_rank():
    for status in set(ExitStatus) - {ExitStatus.PENDING, ExitStatus.DRILL_FAILED}:
        assert exit_status_of([outcome(status), outcome(ExitStatus.DONE)]) == status


def test_a_site_of_an_unreachable_host_can_be_resumed(workplace, monkeypatch):
    from opsplay.app import workshop

    class Away(LocalTransport):
        def run(self, script, *, stdin=b"", timeout=60.0):
            raise Unreachable("local: nothing answers")

    monkeypatch.setattr("opsplay.kit.clock.SystemClock.sleep", lambda _self, _seconds: None)
    with monkeypatch.context() as gone:
        gone.setattr(workshop, "open_transport", Away)
        away = workplace.run(stage(said("one")))
    resumed = app.resume("last", workplace.options)

    assert (away.exit_status, resumed.exit_status) == (ExitStatus.UNREACHABLE, ExitStatus.DONE)
    assert workplace.diary() == ["one"]
