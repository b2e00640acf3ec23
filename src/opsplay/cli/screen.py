"""Where output goes: a terminal, a pipe, or a program that reads JSON."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PIPE_WIDTH = 200
"""Columns where nobody can see how wide the window is: tables are not cut."""


def program_name() -> str:
    """Return what the user types before a verb: `opsplay` or `invoke`."""
    return "opsplay" if Path(sys.argv[0]).name == "opsplay" else "invoke"


def be_robust() -> None:
    """Print what a terminal's encoding lacks as `?` rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def is_plain() -> bool:
    """Return whether nobody watches, and nobody asked for colours in a pipe as rich knows it."""
    asked = {"FORCE_COLOR", "TTY_COMPATIBLE"} & os.environ.keys()
    return not (sys.stdout.isatty() or asked)


def screen(*, record: bool = False) -> Console:
    """Return the console for standard output.

    Colour and movement only on a terminal that has them, and no colour where `NO_COLOR` is set.
    `record` remembers everything for a picture.
    """
    from opsplay.reports.screen import Screen

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    if record:
        from opsplay.reports.picture import recorder

        return recorder()
    return Screen(highlight=False, width=wide)


def show(what: RenderableType) -> None:
    """Print a report on standard output."""
    lay_out(screen(), what)


def lay_out(console: Console, what: RenderableType) -> None:
    """Print a report: folded between words in a window, uncut lines anywhere else."""
    console.print(what, soft_wrap=not console.is_terminal)


def emit(line: str) -> None:
    """Print a line for a program; a reader that has gone away is not an error."""
    try:
        print(line, flush=True)
    except OSError:  # a closed pipe, or EIO: the terminal was closed
        stop_printing()


def stop_printing() -> None:
    """Send what is still printed to nowhere: the reader has gone, the work goes on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def can_ask() -> bool:
    """Return whether a person is there to answer: both directions are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(question: str) -> bool:
    """Return whether the person agrees; anything but yes is no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def document(message_type: str, data: dict[str, Any]) -> None:
    """Print one JSON document."""
    from opsplay.reports.json_lines import message

    emit(message(message_type, data))
