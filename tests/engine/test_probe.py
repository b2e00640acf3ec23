"""Questions travel together and come back one by one, whatever they say."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.engine.probe import bundle, unbundle
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
