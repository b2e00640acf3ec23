"""A picture of a terminal, made by the program itself: the README's run is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme

WIDTH = 108
_FONT = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_FRAME = _FONT.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", "monospace")
"""Rich's frame with the reader's own font: looking at a picture must contact nobody."""
_PAPER = TerminalTheme(
    (18, 22, 30),
    (216, 222, 233),
    [(59, 66, 82), (230, 97, 107), (143, 200, 118), (235, 190, 100), (110, 165, 225),
     (196, 140, 210), (100, 195, 200), (216, 222, 233)],
    [(128, 140, 160), (240, 120, 130), (165, 220, 140), (245, 210, 130), (140, 190, 245),
     (215, 165, 230), (130, 215, 220), (245, 248, 252)],
)  # fmt: skip


def recorder(stream: IO[str] | None = None) -> Console:
    """Return a console that shows what it is given and remembers it for a picture."""
    return Console(
        file=stream, record=True, width=WIDTH, highlight=False, force_terminal=True,
        color_system="standard", legacy_windows=False,
    )  # fmt: skip


def save_picture(console: Console, path: Path, title: str) -> Path:
    """Write what `console` recorded as an SVG file, and return its path.

    The same text gives the same bytes: the picture can be compared and committed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = console.export_svg(
        title=title, theme=_PAPER, clear=False, unique_id="opsplay", code_format=_FRAME
    )
    path.write_text(svg, encoding="utf-8")
    return path
