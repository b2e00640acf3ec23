"""Guess what somebody meant to write."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_LISTED = 20


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion: the nearest known word, or the short list of all, or nothing.

    >>> did_you_mean("retrys", ["retries", "delay"])
    "did you mean 'retries'?"
    """
    choices = sorted(known)
    if near := get_close_matches(word, choices, n=1, cutoff=0.6):
        return f"did you mean '{near[0]}'?"
    return f"known here: {', '.join(choices)}" if 0 < len(choices) <= _MOST_LISTED else ""


def listed(names: Iterable[str]) -> str:
    """Return names as in a sentence.

    >>> listed(["host", "root", "url"])
    "'host', 'root' and 'url'"
    """
    quoted = [f"'{name}'" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
