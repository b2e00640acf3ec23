"""All questions to a host travel in one script and come back in one answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.kit.ids import token
from opsplay.kit.shell import quote


def bundle(scripts: Sequence[str], mark: str = "") -> tuple[str, str]:
    """Return one script that runs each of `scripts` in a subshell, and the mark it separates by.

    Each subshell has empty standard input; both output streams get a line `MARK index status`
    after each script, so that nothing is written on the host to keep them apart. A script with a
    syntax error fails alone: it is read by `eval`, not together with the others.
    """
    mark = mark or f"opsplay-{token()}"
    parts = [
        f"( eval {quote(script)}\n) </dev/null\n"
        f"opsplay_status=$?; printf '\\n{mark} {index} %s\\n' \"$opsplay_status\";"
        f" printf '\\n{mark} {index} %s\\n' \"$opsplay_status\" >&2"
        for index, script in enumerate(scripts)
    ]
    return "\n".join([*parts, "exit 0"]), mark


def unbundle(answer: Answer, mark: str, count: int) -> tuple[Answer, ...]:
    """Return the answers of `count` bundled scripts.

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
    pieces = re.split(rf"\n{re.escape(mark)} (\d+) (\d+)\n", text)
    found = zip(pieces[0::3], pieces[1::3], pieces[2::3], strict=False)
    return [
        (int(status), output)
        for wanted, (output, index, status) in enumerate(found)
        if int(index) == wanted
    ]
