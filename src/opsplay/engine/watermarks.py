"""How far a site is when it is saved: asked right before and right after the dump."""

from __future__ import annotations

from collections.abc import Mapping

ROWS = "rows:"


def over_the_dump(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the marks of a dump that was made between two askings.

    A table that visitors wrote to meanwhile has between so many rows and so many: `12..14`. Of
    everything else what was there before the dump is in it.

    >>> over_the_dump({"rows:a": "3", "rows:b": "2"}, {"rows:a": "3", "rows:b": "4"})
    {'rows:a': '3', 'rows:b': '2..4'}
    """
    return {
        name: f"{value}..{after[name]}"
        if name.startswith(ROWS) and after.get(name, value) != value
        else value
        for name, value in before.items()
    }
