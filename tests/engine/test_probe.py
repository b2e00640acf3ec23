"""Questions travel together and come back one by one, whatever they say."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.engine.probe import bundle, dismount, riding, unbundle
from opsplay.kit.shell import quote

pytestmark = pytest.mark.real

SAID = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def answered(scripts, shell="dash"):
    script, mark = bundle([(script, ()) for script in scripts])
    done = subprocess.run([shell, "-c", script], capture_output=True, check=False)
    texts = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    return unbundle(Answer(done.returncode, *texts), mark, len(scripts))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(SAID, SAID, st.integers(0, 255)), min_size=1, max_size=6))
def test_every_answer_is_whole_and_its_own(expected):
    scripts = [
        f"printf %s {quote(out)}; printf %s {quote(bad)} >&2; exit {status}"
        for out, bad, status in expected
    ]

    found = answered(scripts)

    assert [(one.stdout, one.stderr, one.exit_status) for one in found] == expected


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
@pytest.mark.parametrize(
    "rude",
    [
        "exit 3", "set -e; false; echo never", "exec >&- 2>&-; exit 1", "trap 'exit 9' EXIT", ") x",
        "echo 'open", "if true", "cat", "exec true", "cd /; umask 0; PATH=; set -f", "x=1; echo }",
        "printf '\\377\\000\\n'", "kill -9 $(sh -c 'echo $PPID')", "cat <<'E'\nE", ":", "# a remark",
        "set -u; echo $nobody_set_this", "return 4", "break", "alias exit=true; exit",
    ],
)  # fmt: skip
def test_a_rude_question_spoils_no_other(shell, rude):
    words = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    script, mark = bundle([("echo before", ()), (rude, ()), ("echo after", ())])

    done = subprocess.run([*words, script], capture_output=True, check=False, timeout=10)
    texts = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    before, _, after = unbundle(Answer(done.returncode, *texts), mark, 3)

    assert (before.stdout, after.stdout) == ("before\n", "after\n")


def ridden(before, scripts, shell="dash"):
    ride, mark = riding([(script, ()) for script in scripts])
    words = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    done = subprocess.run([*words, f"{before}\n{ride}"], capture_output=True, check=False)
    answer = Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
    return dismount(answer, mark, len(scripts))


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_questions_ride_along_with_another_script(shell):
    before = "echo own; echo bad >&2; x=1; f() { :; }; set -u"

    own, found = ridden(before, ['echo "${x-unset}"; f', "echo 'it''s' >&2; exit 3"], shell)

    assert (own.exit_status, own.stdout, own.stderr) == (0, "own\n", "bad\n")
    assert (found[0].stdout, found[0].exit_status) == ("unset\n", 127)
    assert (found[1].stderr, found[1].exit_status) == ("its\n", 3)


def test_a_rude_question_that_rides_along_answers_nothing():
    own, found = ridden("echo own", ["echo one", "kill -9 $$"])

    assert own.stdout == "own\n"
    assert found == ()


def test_where_the_script_ended_before_nothing_was_asked():
    own, found = ridden("echo own; exit 4", ["echo one"])

    assert (own.exit_status, own.stdout, found) == (4, "own\n", ())


def test_answers_that_wait_and_answers_that_do_not_keep_their_order():
    script = (
        'for word; do case $word in short) answered 0 "$word" ;; '
        'long) opsplay_say; echo "$word"; answered 0 ;; end) exit ;; esac; done'
    )
    words = ["short", "short", "long", "short", "long", "long", "short"]
    asked, mark = bundle([(script, (word,)) for word in words] + [("echo last", ())])

    done = subprocess.run(["dash", "-c", asked], capture_output=True, check=True)
    found = unbundle(Answer(0, done.stdout.decode(), done.stderr.decode()), mark, len(words) + 1)

    assert [one.stdout.strip() for one in found] == [*words, "last"]


def test_what_waited_is_said_when_a_script_ends_early():
    script = 'for word; do case $word in end) exit ;; *) answered 0 "$word" ;; esac; done'
    asked, mark = bundle([(script, (word,)) for word in ("a", "b", "end")])

    done = subprocess.run(["dash", "-c", asked], capture_output=True, check=True)

    assert [one.stdout for one in unbundle(Answer(0, done.stdout.decode(), done.stderr.decode()), mark, 2)] == ["a\n", "b\n"]  # fmt: skip


def test_a_question_that_ends_the_whole_shell_proves_nothing():
    with pytest.raises(UnreadableAnswer, match="answered 1 of 3 questions"):
        answered(["echo one", "kill -9 $$", "echo three"])


def test_what_a_question_says_is_never_taken_for_a_mark():
    script, mark = bundle([("a", ()), ("b", ())])
    forged = f"\n{mark} 1 0\n\n{mark} 0 0\n\n{mark} 1 0\n"

    with pytest.raises(UnreadableAnswer):
        unbundle(Answer(0, forged, forged), mark, 2)
    assert mark not in bundle([("a", ()), ("b", ())])[1]
    assert script.endswith("exit 0")


@given(st.text(max_size=200), st.text(max_size=200), st.integers(1, 4))
def test_noise_is_never_an_answer(out, bad, count):
    with pytest.raises(UnreadableAnswer, match="nothing was changed by asking"):
        unbundle(Answer(0, out, bad), "opsplay-mark", count)
