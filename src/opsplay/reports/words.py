"""The words, symbols and colours all reports share. A state is never told by colour alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from opsplay.core.event import State
from opsplay.reports.ink import Ink

if TYPE_CHECKING:
    from rich.text import Text

SYMBOLS: dict[str, str] = {
    State.OK: "✓",
    State.CHANGED: "▲",
    State.SKIPPED: "–",
    State.FAILED: "✗",
    State.UNREACHABLE: "⊘",
    State.WAITING: "…",
    State.ROLLED_BACK: "↶",
    State.CANCELLED: "■",
    State.UNKNOWN: "?",
}
STYLES: dict[str, str] = {
    State.OK: "green",
    State.CHANGED: "yellow",
    State.SKIPPED: "bright_black",
    State.FAILED: "bold red",
    State.UNREACHABLE: "bold magenta",
    State.WAITING: "blue",
    State.ROLLED_BACK: "bold yellow",
    State.CANCELLED: "bold yellow",
    State.UNKNOWN: "bold magenta",
}
QUIET = "bright_black"
STATE_WIDTH = max(len(state) for state in State) + 2
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def state_ink(state: str, *, padded: bool = True) -> Ink:
    """Return symbol and word of a state, coloured; padded so that columns line up."""
    words = f"{SYMBOLS.get(state, '?')} {state}"
    return Ink(words.ljust(STATE_WIDTH) if padded else words, STYLES.get(state, ""))


def state_text(state: str, *, padded: bool = True) -> Text:
    """Return the same for what is laid out by rich."""
    return state_ink(state, padded=padded).__rich__()


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was.

    >>> from datetime import UTC
    >>> ago(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 5, tzinfo=UTC))
    '5 min ago'
    """
    seconds = int((now - moment) / timedelta(seconds=1))
    if seconds < _MINUTE:
        return "just now"
    for unit, length in (("d", _DAY), ("h", _HOUR)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds // _MINUTE} min ago"


def moment_text(moment: datetime) -> str:
    """Return an absolute time for files and records, in UTC, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def from_to(what: str, before: str, after: str) -> str:
    """Return a change on one line; long texts by their number of lines only.

    >>> from_to("WordPress", "6.4.5", "6.5.5")
    'WordPress 6.4.5 → 6.5.5'
    >>> from_to("backup", "", "")
    'backup'
    """
    old, new = brief(before), brief(after)
    if old and new:
        return f"{what} {old} → {new}"
    return f"{what} → {new}" if new else f"{what}: {old} goes" if old else what


def brief(text: str) -> str:
    """Return a text of one line as it is, of a longer one only how many lines it has."""
    lines = text.strip().splitlines()
    return text.strip() if len(lines) <= 1 else f"{len(lines)} lines"


def last_lines(text: str, most: int = 20) -> tuple[str, ...]:
    """Return the last lines of an output, at most `most`, without empty ones at its ends."""
    return tuple(text.strip().splitlines()[-most:])


def first_line(text: str, most: int = 200) -> str:
    r"""Return the first line of a text, shortened to `most` characters; `…` where more follows.

    >>> first_line("the host said no:\nline 1")
    'the host said no …'
    """
    line, _, rest = text.strip().partition("\n")
    if rest or len(line) > most:
        return line[:most].rstrip(" :") + " …"
    return line


def widest(words: Iterable[str], least: int = 0) -> int:
    """Return the length of the longest word, at least `least`."""
    return max((len(word) for word in words), default=least)
