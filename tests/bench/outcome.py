"""What a benchmark is told and what it gives: numbers, goals, a table, plots.

A benchmark is a module here with

    NAME                                the word after `--only`
    estimate(options) -> float          seconds it will take on a quiet machine
    measure(options) -> Outcome

and its name in `tests.bench.__main__.BENCHMARKS`. Its table in `docs/benchmarks.md` stands between
`<!-- bench NAME -->` and `<!-- /bench NAME -->`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """How much is measured, and where."""

    place: Path
    """An empty directory on disk, removed at the end."""
    rounds: int = 0
    """Of each tool in each case; 0 for as many as each deserves."""
    hosts: tuple[int, ...] = ()
    """Numbers of hosts to compare at; empty for the usual ones."""
    tools: tuple[str, ...] = ()
    """Tools to compare; empty for all."""
    quick: bool = False
    scale: float = 0.0
    """Share of the full size of a site, for trying out; 0 for all of it."""
    until: float = math.inf
    """When to stop, on the monotonic clock, in seconds: rounds that would take longer are left out."""

    def has_time_for(self, seconds: float) -> bool:
        """Return whether a run of so many seconds may still begin."""
        return time.monotonic() + seconds <= self.until

    def say(self, text: str) -> None:
        """Tell the person who waits; standard output is for results alone."""
        print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Verdict:
    """One goal, and what was reached."""

    name: str
    what: str
    """In words, with the unit of `ours` and `theirs`."""
    ours: float
    theirs: float | None
    ratio: float | None
    """How many times less we need; for the floor: how many times more. None without a rival."""
    needed: float
    at_most: bool
    met: bool

    @property
    def facts(self) -> dict[str, Any]:
        """Return it by name, rounded to what it is worth."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }

    @property
    def row(self) -> tuple[str, ...]:
        """Return it as a line of a table: mark, goal, ours, theirs, reached, needed."""
        reached = f"{self.ratio:.1f} ×" if self.ratio is not None else number(self.ours)
        sign = "≤" if self.at_most else "≥"
        unit = " ×" if self.ratio is not None else ""
        theirs = number(self.theirs) if self.theirs is not None else ""
        return (
            "✓" if self.met else "✗", self.what, number(self.ours), theirs, reached,
            f"{sign} {self.needed:g}{unit}",
        )  # fmt: skip


HEADINGS = ("", "goal", "ours", "theirs", "reached", "needed")


@dataclass(frozen=True)
class Series:
    """One line of a plot."""

    name: str
    points: Sequence[tuple[float, float]]
    ours: bool = False
    quiet: bool = False
    """Dashed and grey: something to measure by, not a rival."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes, both logarithmic; with `names`, groups of bars."""

    title: str
    across: str
    up: str
    series: Sequence[Series]
    names: Sequence[str] = ()
    """Of the groups of bars; the first coordinate of a point says which group, from 1."""


@dataclass(frozen=True)
class Plot:
    """A picture for `docs/images/`."""

    file: str
    shows: str
    """In words, for those who cannot see it."""
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Outcome:
    """What one benchmark gives."""

    name: str
    markdown: str
    """Its tables; the goals are put before them by the caller."""
    goals: Sequence[Verdict] = ()
    data: Any = None
    """Everything measured, for `--json`."""
    plots: Sequence[Plot] = field(default_factory=tuple)


def number(value: float) -> str:
    """Return a number with as many digits as say something."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that is Markdown and can be read as it stands."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join([line(headings), rule, *map(line, rows)])
