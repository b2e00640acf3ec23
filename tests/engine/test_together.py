"""Neighbouring steps done in one job: told apart, verified each, and never half believed."""

from __future__ import annotations

import pytest
from tests.engine.workplace import Workplace, in_a_process_that_dies

from opsplay import app
from opsplay.core.action import Shell, Write
from opsplay.core.errors import ExitStatus
from opsplay.engine import job_scripts, together
from opsplay.engine.job import JobReport, JobState

pytestmark = pytest.mark.real


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Workplace(tmp_path).build()


def steps(*texts: str, head: str = "") -> str:
    return f"- name: Work\n{head}  steps:\n" + "".join(f"    - {text}\n" for text in texts)


def command(run: str, unless: str = "false") -> str:
    return f'command: {{run: "{run}", unless: "{unless}"}}'


def once(name: str, then: str = "true") -> str:
    """A step that adds a line to a file, which must have one line in the end."""
    return command(f"echo done >> {name}; {then}", f"test -e {name}")


def finished(ran):
    return [
        (event.data["step"], event.data["state"])
        for event in ran.events
        if event.kind == "step_finished"
    ]


def results(ran):
    return [event.data["outcome"] for event in ran.events if event.kind == "result"]


def jobs(workplace):
    return list((workplace.folder / "home/.opsplay/jobs").iterdir())


def test_neighbours_are_done_in_one_job_in_their_order(workplace):
    ran = workplace.run(
        steps(once("a"), "file: {path: b, content: b}", once("c", "cat a b > order"))
    )

    assert ran.exit_status == ExitStatus.DONE
    assert finished(ran) == [(0, "changed"), (1, "changed"), (2, "changed")]
    assert results(ran) == ["done"] * 3
    assert (workplace.root() / "order").read_text() == "done\nb"
    assert len(jobs(workplace)) == 1


def test_the_first_failure_ends_it_and_what_was_done_before_is_told_as_done(workplace):
    ran = workplace.run(steps(once("a"), command("echo no such luck >&2; exit 7"), once("c")))

    assert ran.exit_status == ExitStatus.FAILED
    assert finished(ran) == [(0, "changed"), (1, "failed")]
    assert results(ran) == ["done", "failed", "failed"]
    assert not (workplace.root() / "c").exists()
    told = [event.data["detail"] for event in ran.events if event.kind == "step_finished"]
    assert "exit status 7" in told[1]
    assert "no such luck" in told[1]


def test_each_step_is_looked_at_afterwards(workplace):
    ran = workplace.run(steps(once("a"), command("true", "test -e never"), once("c")))

    assert ran.exit_status == ExitStatus.FAILED
    assert finished(ran) == [(0, "changed"), (1, "failed")]
    told = [event.data["detail"] for event in ran.events if event.kind == "step_finished"]
    assert "read back it still has to change" in told[1]


def test_what_an_earlier_neighbour_made_needless_is_not_done(workplace):
    ran = workplace.run(steps(command("touch a b", "test -e a"), once("b"), once("c")))

    assert finished(ran) == [(0, "changed"), (1, "ok"), (2, "changed")]
    assert (workplace.root() / "b").read_text() == ""


def test_a_neighbour_with_broken_syntax_fails_alone(workplace):
    ran = workplace.run(steps(once("a"), command("if then (")))

    assert finished(ran) == [(0, "changed"), (1, "failed")]


def test_what_a_neighbour_says_cannot_be_taken_for_another(workplace):
    noisy = command(
        'seq 1 9000; printf \\"\\n=====opsplay x-1===== done 0\\n\\"; touch n', "test -e n"
    )

    ran = workplace.run(steps(noisy, once("b"), once("c")))

    assert finished(ran) == [(0, "changed"), (1, "changed"), (2, "changed")]


def test_a_failure_in_a_group_takes_all_of_it_back(workplace):
    (workplace.root() / "one").write_text("old")
    files = [f"file: {{path: {name}, content: new}}" for name in ("one", "two")]
    head = "  maintenance: true\n  on_failure: rollback\n"

    ran = workplace.run(steps(*files, command("exit 3"), head=head))

    assert ran.exit_status == ExitStatus.ROLLED_BACK
    assert (workplace.root() / "one").read_text() == "old"
    assert not (workplace.root() / "two").exists()


def test_two_texts_for_one_file_are_not_done_together(workplace):
    ran = workplace.run(
        steps("file: {path: a, content: x}", "file: {path: a, content: y}", once("c"))
    )

    assert finished(ran) == [(0, "changed"), (1, "changed"), (2, "changed")]
    assert (workplace.root() / "a").read_text() == "y"
    assert len(jobs(workplace)) == 2


@pytest.mark.parametrize(
    "step",
    [
        "command: {run: touch b}",
        "command: {run: touch b, unless: test -e b, timeout: 60}",
        "{command: {run: touch b, unless: test -e b}, register: it}",
        "{command: {run: touch b, unless: test -e b}, retries: 1}",
    ],
)
def test_what_needs_its_own_job_gets_it(workplace, step):
    step = step.strip("{}") if step.startswith("{command") else step
    lines = step.replace("}, register", "}\n      register").replace(
        "}, retries", "}\n      retries"
    )

    ran = workplace.run(steps(once("a"), lines, once("c")))

    assert ran.exit_status == ExitStatus.DONE
    assert len(jobs(workplace)) == 3


@pytest.mark.proof
def test_a_run_killed_at_any_write_does_no_act_of_a_group_twice(workplace):
    text = steps(once("a"), "file: {path: b, content: b}", once("c"), once("d"))
    path, point = workplace.playbook(text), 1  # at 0 there is no run yet
    while in_a_process_that_dies(point, lambda: app.run(path, workplace.options)):
        app.resume("last", workplace.options)
        assert [(workplace.root() / name).read_text() for name in "acd"] == ["done\n"] * 3
        for name in "abcd":
            (workplace.root() / name).unlink()
        point += 1

    assert point > 10


def test_a_group_ended_from_outside_is_looked_up_and_gone_on_with(workplace):
    kill = "test -e killed || { touch killed; kill -9 $(cat $HOME/.opsplay/jobs/*/pid) $PPID; kill -9 $$; }"

    ran = workplace.run(steps(once("a"), command(f"{kill}; touch b", "test -e b"), once("c")))

    assert ran.exit_status == ExitStatus.DONE
    assert results(ran)[:3] == ["done", "unknown", "failed"]
    assert [(workplace.root() / name).read_text() for name in "ac"] == ["done\n"] * 2
    assert (workplace.root() / "b").exists()


def test_a_group_ended_from_outside_whose_act_then_fails_tells_just_that(workplace):
    end = "test -e killed && exit 3; touch killed; kill -9 $(cat $HOME/.opsplay/jobs/*/pid) $PPID; kill -9 $$"

    ran = workplace.run(steps(once("a"), command(end, "test -e b")))

    assert ran.exit_status == ExitStatus.FAILED
    assert finished(ran) == [(0, "changed"), (1, "failed")]
    assert "exit status 3" in ran.events[-2].data["detail"]


def test_as_many_noisy_acts_as_fit_are_still_told_apart(workplace):
    noisy = "seq 1 5000; seq 1 5000 >&2"
    names = [f"n{number:02}" for number in range(together.MOST)]

    ran = workplace.run(steps(*[once(name, noisy) for name in names]))

    (out,) = (workplace.folder / "home/.opsplay/jobs").glob("*/out")
    assert out.stat().st_size < job_scripts.TAIL * 0.9

    assert finished(ran) == [(number, "changed") for number in range(together.MOST)]
    assert len(jobs(workplace)) == 1


def test_what_the_acts_came_to_is_read_as_far_as_the_script_came():
    mark = together.mark_of("r", 7)
    said = f"\n{mark} done 0\nfine\n\n{mark} errors\n\n{mark} spared 0\n\n{mark} errors\n"

    ended, lost, absent = (
        [one.outcome for one in together.came_of(JobReport(state, 1, text), mark, 4)]
        for state, text in ((JobState.ENDED, said), (JobState.LOST, said), (JobState.ABSENT, ""))
    )

    assert ended == ["done", "done", "failed", "failed"]
    assert lost == ["done", "done", "unknown", "failed"]
    assert absent == ["failed"] * 4


def test_only_scripts_and_files_without_secrets_join():
    assert together.joinable(Shell("true"))
    assert together.joinable(Write("/a", ""))
    assert not together.joinable(Shell("true", timeout=5))
