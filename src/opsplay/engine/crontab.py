"""The text of a crontab with our block in it, everything else byte for byte as it was. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from opsplay.kit.shell import command, quote


def entry(words: Sequence[str], directory: str, log: str) -> str:
    """Return the line that calls a command each minute, in a directory, its output in a log.

    A `%` would end the command: cron takes what follows for its standard input.
    """
    line = f"cd {quote(directory)} && {command(*words)} >> {quote(log)} 2>&1"
    return "* * * * * " + line.replace("%", r"\%")


def with_block(text: str, marker: str, line: str) -> str:
    """Return a crontab with the block of `marker` holding `line`, where it was or at the end."""
    block = f"{_begin(marker)}\n{line}\n{_end(marker)}\n"
    if _pattern(marker).search(text):
        return _pattern(marker).sub(lambda _: block, text, count=1)
    return f"{text}{block}" if not text or text.endswith("\n") else f"{text}\n{block}"


def without_block(text: str, marker: str) -> str:
    r"""Return a crontab without the block of `marker`.

    >>> without_block(with_block("0 1 * * * true\n", "here", "* * * * * tick"), "here")
    '0 1 * * * true\n'
    """
    return _pattern(marker).sub("", text)


def _begin(marker: str) -> str:
    return f"# BEGIN opsplay schedules of {marker}"


def _end(marker: str) -> str:
    return f"# END opsplay schedules of {marker}"


def _pattern(marker: str) -> re.Pattern[str]:
    first, last = re.escape(_begin(marker)), re.escape(_end(marker))
    return re.compile(f"^{first}\n.*?^{last}\n", re.DOTALL | re.MULTILINE)
