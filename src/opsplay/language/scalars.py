"""What a plain YAML scalar means here: YAML 1.2's core schema, without its surprises.

Only `true false null ~`, nothing at all, and whole numbers without a leading zero mean something
other than their text. So `on`, `yes`, `22:22`, `010`, `0x1F`, `1_000`, `2026-11-22` and above all
`8.10` stay the text that was written: most of them are versions, times and host names. Where a
setting is declared as a number, a decimal text such as `0.5` is read as that number.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Plain: TypeAlias = str | int | bool | None

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}", re.ASCII)


def meaning(text: str) -> Plain:
    """Return what an unquoted scalar means.

    >>> [meaning(text) for text in ("8.10", "010", "22:22", "yes", "7", "true", "")]
    ['8.10', '010', '22:22', 'yes', 7, True, None]
    """
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return text


def decimal(text: str) -> float | None:
    """Return the number that `text` writes with a decimal point, or None.

    >>> decimal("0.5"), decimal("1e5"), decimal("7")
    (0.5, None, None)
    """
    return float(text) if _DECIMAL.fullmatch(text) else None
