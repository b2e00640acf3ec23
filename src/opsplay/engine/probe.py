"""All questions to a host travel in one script and come back in one answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer, Asked
from opsplay.kit.ids import token
from opsplay.kit.shell import command, quote


def bundle(asked: Sequence[Asked], mark: str = "") -> tuple[str, str]:
    """Return one script that asks everything in `asked`, and the mark it separates answers by.

    Each script runs in a subshell with empty standard input; both output streams get a line
    `MARK index status` after each answer, so that nothing is written on the host to keep them
    apart. A script with a syntax error fails alone: it is read by `eval`, not together with the
    others. Neighbours that share a script and differ in words are answered by one run of it.
    """
    mark = mark or f"opsplay-{token()}"
    parts = [_ANSWERED.replace("MARK", mark)]
    for script, words in _runs(asked):
        known = f"{command('set', '--', *chain(*words))}\n" if words[0] else ""
        done = f"opsplay_n=$((opsplay_n+{len(words)}))" if words[0] else "answered $?"
        kept = "trap opsplay_say EXIT\n" if words[0] else ""
        parts.append(f"( {kept}{known}eval {quote(script)}\n) </dev/null; {done}")
    return "\n".join([*parts, "exit 0"]), mark


def riding(asked: Sequence[Asked]) -> tuple[str, str]:
    """Return lines that end another script with these questions, and the mark they begin behind.

    A shell of its own asks them: what that script named or set is not for them.
    """
    script, mark = bundle(asked)
    begin = f"printf '\\n%s\\n' {mark}"
    return f"{begin}; {begin} >&2; sh -c {quote(script)}\nexit 0\n", mark


def dismount(answer: Answer, mark: str, count: int) -> tuple[Answer, tuple[Answer, ...]]:
    """Return the answer of the script that the questions rode along with, and theirs, if whole."""
    output, _, told = answer.stdout.partition(f"\n{mark}\n")
    errors, _, complaints = answer.stderr.partition(f"\n{mark}\n")
    try:
        found = unbundle(Answer(0, told, complaints), mark, count)
    except UnreadableAnswer:
        found = ()  # they are asked again, by themselves
    return Answer(answer.exit_status, output, errors), found


_ANSWERED = r"""opsplay_n=0; opsplay_o=''; opsplay_e=''
answered() {
  opsplay_mark="
MARK $opsplay_n $1
"
  [ $# -eq 1 ] || opsplay_o="$opsplay_o$2
"
  opsplay_o=$opsplay_o$opsplay_mark; opsplay_e=$opsplay_e$opsplay_mark
  opsplay_n=$((opsplay_n+1)); [ $# -gt 1 ] || opsplay_say
}
opsplay_say() {
  [ -z "$opsplay_o" ] || printf %s "$opsplay_o"
  [ -z "$opsplay_e" ] || printf %s "$opsplay_e" >&2
  opsplay_o=''; opsplay_e=''
}"""
"""`answered STATUS TEXT` (a line) waits for the next `answered STATUS` or the end: many answers are one packet."""


def _runs(asked: Sequence[Asked]) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    for (script, together), group in groupby(asked, key=lambda one: (one[0], bool(one[1]))):
        words = [one[1] for one in group]
        for part in [words] if together else [[one] for one in words]:
            yield script, part


def unbundle(answer: Answer, mark: str, count: int) -> tuple[Answer, ...]:
    """Return the answers to `count` bundled questions.

    Raises UnreadableAnswer when one of them is missing: the host stopped half-way.
    """
    outputs, errors = _sections(answer.stdout, mark), _sections(answer.stderr, mark)
    if len(outputs) != count or len(errors) != count:
        raise UnreadableAnswer(
            f"the host answered {len(outputs)} of {count} questions"
            f" (exit status {answer.exit_status}): {answer.stderr[-500:].strip()}",
            state="nothing was changed by asking",
        )
    return tuple(
        Answer(status, output, error)
        for (status, output), (_, error) in zip(outputs, errors, strict=True)
    )


def _sections(text: str, mark: str) -> list[tuple[int, str]]:
    output, *rest = text.split(f"\n{mark} ")
    found: list[tuple[int, str]] = []
    for piece in rest:
        head, newline, after = piece.partition("\n")
        index, _, status = head.partition(" ")
        if not (newline and head.isascii() and status.isdecimal() and index == str(len(found))):
            break
        found.append((int(status), output))
        output = after
    return found
