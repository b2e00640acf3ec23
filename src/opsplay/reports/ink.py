"""Text with colours that needs no terminal library until there is a terminal.

A run in a pipe or a timer prints hundreds of lines: plain strings cost a hundredth of what rich
takes for them. On a terminal, rich shows the same text through `__rich__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_CONTROL = dict.fromkeys((7, 8, 11, 12, 13))
"""What rich leaves out as well: bell, backspace, vertical tab, form feed, carriage return."""


class Ink:
    """Pieces of text, each with a style as rich names them."""

    def __init__(self, text: str = "", style: str = "") -> None:
        self._pieces: list[tuple[str, str]] = [(text, style)]

    @property
    def pieces(self) -> tuple[tuple[str, str], ...]:
        """Return each text with its style."""
        return tuple(self._pieces)

    def append(self, text: str | Ink, style: str = "") -> Ink:
        """Add a piece, or all pieces of another text, and return this one."""
        self._pieces += text.pieces if isinstance(text, Ink) else [(text, style)]
        return self

    def rstrip(self) -> Ink:
        """Remove white space from the end, and return this text."""
        while self._pieces:
            text, style = self._pieces.pop()
            if text := text.rstrip():
                return self.append(text, style)
        return self

    @property
    def plain(self) -> str:
        """Return the text alone, as a pipe shows it."""
        text = "".join(piece for piece, _ in self._pieces).translate(_CONTROL)
        return text.expandtabs(8) if "\t" in text else text

    def __str__(self) -> str:
        return self.plain

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text.assemble(*self._pieces)
