"""Which of two version numbers is newer: the loose rules that CMSs and their modules share."""

from __future__ import annotations

import re
from typing import TypeAlias

Order: TypeAlias = tuple[tuple[int, str], ...]

_LENGTH = 8


def order(version: str) -> Order:
    """Return a key by which versions sort: 6.5-RC1 comes before 6.5, and 6.5 equals 6.5.0.

    >>> order("6.5-RC1") < order("6.5") == order("6.5.0") < order("6.10.1")
    True
    """
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    key = [(int(part), "~") if part.isdigit() else (-1, part.lower()) for part in parts]
    return tuple(key + [(0, "~")] * (_LENGTH - len(key)))


def same_series(one: str, other: str, parts: int) -> bool:
    """Return whether two versions agree in their first `parts` numbers.

    >>> same_series("6.4.5", "6.4.6", 2), same_series("6.4.5", "6.5", 2)
    (True, False)
    """
    return order(one)[:parts] == order(other)[:parts]
