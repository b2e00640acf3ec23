"""Secrets are a type: they print as dots, and their text comes out only on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

DOTS = "•••"
_SHORTEST = 4
"""Characters; hiding anything shorter would riddle every text with dots."""


@dataclass(frozen=True)
class Secret:
    """A secret value known by its reference (`env:NAME`, `file:PATH`, `command:LINE`).

    The reference may be shown and journalled. The value is fetched at the first `reveal` of each
    call, never stored, and never printed.
    """

    reference: str
    fetch: Callable[[str], str] = field(repr=False, compare=False)

    def reveal(self) -> str:
        """Return the value. Raises what the resolver raises when it cannot be had."""
        return self.fetch(self.reference)

    def __str__(self) -> str:
        return DOTS

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"


class Redactor:
    """Replaces every known secret value in a text by dots."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: tuple[str, ...] = ()
        self.learn(*values)

    def learn(self, *values: str) -> None:
        """Remember values to hide; the longest is replaced first, those under four characters never."""
        known = {*self._values, *(value for value in values if len(value) >= _SHORTEST)}
        self._values = tuple(sorted(known, key=lambda value: (-len(value), value)))

    @property
    def knows_any(self) -> bool:
        """Return whether there is anything to hide."""
        return bool(self._values)

    def clean(self, text: str) -> str:
        """Return `text` with each known value replaced by `•••`."""
        for value in self._values:
            text = text.replace(value, DOTS)
        return text
