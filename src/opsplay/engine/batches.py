"""How many sites at a time, and when the line is stopped. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batches(items: Sequence[T], serial: Sequence[str]) -> Iterator[tuple[T, ...]]:
    """Yield `items` in batches of the sizes in `serial`; the last size repeats.

    A size is a whole number or a percentage of all items, rounded up, at least 1.

    >>> [len(batch) for batch in batches("abcdefgh", ["1", "25%", "50%"])]
    [1, 2, 4, 1]
    """
    sizes = list(serial) or ["100%"]
    start = number = 0
    while start < len(items):
        size = _size(sizes[min(number, len(sizes) - 1)], len(items))
        yield tuple(items[start : start + size])
        start, number = start + size, number + 1


def _size(text: str, total: int) -> int:
    if text.endswith("%"):
        return max(1, math.ceil(total * float(text[:-1]) / 100))
    return max(1, int(text))


def too_many(failed: int, total: int, max_fail_percentage: float) -> bool:
    """Return whether more than the allowed share of a batch failed; a whole batch always is.

    >>> too_many(0, 4, 0), too_many(1, 4, 0), too_many(1, 4, 25), too_many(1, 1, 100)
    (False, True, False, True)
    """
    return total > 0 and (failed == total or failed * 100 / total > max_fail_percentage)
