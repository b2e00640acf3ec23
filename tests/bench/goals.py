"""The goals of the comparison, as data, and the arithmetic of reaching them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.bench.outcome import Verdict
from tests.bench.timing import Run

Quantity = Literal["wall", "cpu", "memory", "host_cpu", "lines"]
Results = Mapping[tuple[str, str], Sequence[Run]]
"""(case, tool) → its runs."""

_WORDS = {
    "wall": "wall time, s",
    "cpu": "controller's CPU, s",
    "memory": "peak memory, MB",
    "host_cpu": "CPU taken from each host, ms",
    "lines": "hosts with a line of their own",
}


@dataclass(frozen=True)
class Goal:
    """One thing that must be so."""

    case: str
    quantity: Quantity
    needed: float
    than: str = ""
    """The rival; without one `needed` is a bound in the quantity's own unit."""
    at_most: bool = False

    @property
    def name(self) -> str:
        """Return its name for programs."""
        rival = f" {self.than}" if self.than else ""
        return f"{self.case} {self.quantity}{rival}".replace(" ", "-")


def _against(case: str, quantity: Quantity, **needed: float) -> Iterator[Goal]:
    for rival, times in needed.items():
        yield Goal(case, quantity, times, rival)


GOALS = (
    *_against("converged-32", "wall", ansible=80, mitogen=25, pyinfra=6),
    *_against("converged-32", "cpu", ansible=60, mitogen=40, pyinfra=5),
    Goal("converged-32", "wall", 1.5, "floor", at_most=True),
    Goal("converged-32", "host_cpu", 40, at_most=True),
    *_against("far-1", "wall", ansible=14, pyinfra=6),
    *_against("changing-1", "wall", ansible=20, pyinfra=10),
    *_against("converged-100", "wall", pyinfra=6),
    Goal("converged-100", "memory", 100, at_most=True),
    Goal("converged-100", "lines", 100),
)


def verdicts(
    goals: Sequence[Goal], results: Results, sizes: Mapping[str, int], lines: Mapping[str, int]
) -> list[Verdict]:
    """Return what was reached of those goals that were measured, on both sides.

    Args:
        goals: what is looked for.
        results: all runs.
        sizes: case → hosts.
        lines: case → hosts that had a line of their own in our output.
    """
    return [
        _verdict(goal, results, sizes[goal.case], lines)
        for goal in goals
        if results.get((goal.case, "opsplay"))
        and (not goal.than or results.get((goal.case, goal.than)))
    ]


def value(quantity: Quantity, runs: Sequence[Run], hosts: int) -> float:
    """Return one number for many runs: the median, and of memory the most."""
    match quantity:
        case "memory":
            return max(run.memory for run in runs)
        case "host_cpu":
            return 1000 * statistics.median(run.hosts_cpu for run in runs) / hosts
        case "cpu":
            return statistics.median(run.cpu for run in runs)
        case _:
            return statistics.median(run.wall for run in runs)


def _verdict(goal: Goal, results: Results, hosts: int, lines: Mapping[str, int]) -> Verdict:
    if goal.quantity == "lines":
        ours = float(lines[goal.case])
    else:
        ours = value(goal.quantity, results[goal.case, "opsplay"], hosts)
    theirs = value(goal.quantity, results[goal.case, goal.than], hosts) if goal.than else None
    ratio = None if theirs is None else (ours / theirs if goal.at_most else theirs / ours)
    reached = ours if ratio is None else ratio
    met = reached <= goal.needed if goal.at_most else reached >= goal.needed
    rival = f" · {goal.than}" if goal.than else ""
    what = f"{goal.case}: {_WORDS[goal.quantity]}{rival}"
    return Verdict(goal.name, what, ours, theirs, ratio, goal.needed, goal.at_most, met)
