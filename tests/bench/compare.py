"""opsplay, the floor, pyinfra, mitogen and Ansible do the same twenty steps, turn by turn."""

from __future__ import annotations

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.bench import hosts, job
from tests.bench.accounts import Books, Group, Tree
from tests.bench.contenders import CONTENDERS
from tests.bench.environments import version
from tests.bench.goals import GOALS, Results, value, verdicts
from tests.bench.outcome import Options, Outcome, Panel, Plot, Series, number, table
from tests.bench.timing import Command, Failed, Run, measured, output

_Gathered: TypeAlias = defaultdict[tuple[str, str], list[Run]]
NAME = "compare"
RTT = 0.020
"""Seconds of a round trip to a far host."""


@dataclass(frozen=True)
class Case:
    """The twenty steps on some hosts."""

    name: str
    what: str
    hosts: int
    rounds: Mapping[str, int]
    """Tool → how often, unless somebody asks for another number."""
    far: bool = False
    changing: bool = False


def _converged(count: int, **rounds: int) -> Case:
    what = f"nothing to do, {count} host{'s' if count > 1 else ''}, no delay"
    return Case(f"converged-{count}", what, count, rounds)


CASES = (
    Case(
        "changing-1", "all 20 to do, 1 host, round trip 20 ms", 1,
        {"opsplay": 5, "pyinfra": 4, "mitogen": 2, "ansible": 3}, far=True, changing=True,
    ),
    Case(
        "far-1", "nothing to do, 1 host, round trip 20 ms", 1,
        {"opsplay": 5, "floor": 5, "pyinfra": 4, "mitogen": 2, "ansible": 3}, far=True,
    ),
    _converged(32, opsplay=7, floor=7, pyinfra=4, mitogen=3, ansible=2),
    _converged(100, opsplay=5, floor=5, pyinfra=3),
    _converged(1, opsplay=5, floor=5, pyinfra=3, mitogen=2, ansible=1),
    _converged(8, opsplay=5, floor=5, pyinfra=3, mitogen=1, ansible=1),
)  # fmt: skip
"""Those with goals first: when time runs out, it is the picture that is poorer."""

_USUAL = {"opsplay": 5, "floor": 5, "pyinfra": 3, "mitogen": 1, "ansible": 1}
_SECONDS = {
    "opsplay": (0.6, 0.02), "floor": (0.4, 0.015), "pyinfra": (3.0, 0.2), "mitogen": (3.0, 0.85),
    "ansible": (5.0, 4.1),
}  # fmt: skip
"""Tool → seconds of a run and for each host, as seen on two cores: for the estimate alone."""


def chosen(options: Options) -> tuple[Case, ...]:
    """Return the cases that are asked for."""
    cases = CASES
    if options.hosts:
        usual = {case.hosts for case in CASES}
        others = [_converged(count, **_USUAL) for count in options.hosts if count not in usual]
        cases = (*(case for case in CASES if case.hosts in options.hosts), *others)
    if options.quick:
        cases = tuple(case for case in cases if case.hosts <= 8 and not case.far)
    return cases


def rounds(case: Case, options: Options) -> dict[str, int]:
    """Return how often each tool runs in a case."""
    tools = options.tools or (("opsplay", "floor") if options.quick else tuple(CONTENDERS))
    often = options.rounds or (1 if options.quick else 0)
    named = dict.fromkeys(options.tools, 1) | dict(case.rounds)
    return {
        tool: often or named[tool]
        for tool in CONTENDERS
        if tool in tools and tool in named and not (case.changing and CONTENDERS[tool].looks_only)
    }


def turns(often: Mapping[str, int]) -> Iterator[str]:
    """Yield tools so that each has its turns, spread evenly among those of the others."""
    most = max(often.values(), default=0)
    for turn in range(most):
        for tool, count in often.items():
            if (turn + 1) * count // most > turn * count // most:
                yield tool


def estimate(options: Options) -> float:
    """Return the seconds that all rounds will take on a quiet machine with two cores."""
    start_of_hosts, between_runs = 10.0, 0.3
    return start_of_hosts + sum(
        count * (_expected(case, tool) + between_runs)
        for case in chosen(options)
        for tool, count in rounds(case, options).items()
    )


def _expected(case: Case, tool: str) -> float:
    once, each = _SECONDS[tool]
    slower = (1.9 if case.changing else 1.3) if case.far else 1.0
    return (once + each * case.hosts) * slower


def measure(options: Options) -> Outcome:
    """Run all cases and return what they cost. Raises Failed when a tool does not do its job."""
    cases = chosen(options)
    results: _Gathered = defaultdict(list)
    lines: dict[str, int] = {}
    with Books() as books:
        most = max(case.hosts for case in cases)
        with hosts.running(options.place, most, books) as fleet:
            for case in cases:
                lines[case.name] = _measure_case(case, fleet, books, options, results)
        exact = books.exact
    sizes = {case.name: case.hosts for case in cases}
    reached = verdicts(GOALS, results, sizes, lines)
    return Outcome(
        NAME, _markdown(cases, results, exact=exact), reached, _data(cases, results),
        [_plot(cases, results)],
    )  # fmt: skip


def _measure_case(
    case: Case, fleet: hosts.Fleet, books: Books, options: Options, results: _Gathered
) -> int:
    """Run one case; return how many hosts had a line of their own in opsplay's last output."""
    options.say(f"\n{case.name}: {case.what}")
    often = rounds(case, options)
    commands = dict(_prepared(case, often, fleet, options))
    with hosts.slow_line(fleet, RTT, books) if case.far else contextlib.nullcontext() as line:
        track = Track(case, fleet, books, line, commands)
        for tool in ("opsplay", "floor"):  # their byte code may be stale; one run costs nothing
            if tool in often:
                track.once(tool)
        for tool in turns(often):
            _turn(track, tool, options, results)
    ours = commands.get("opsplay")
    return _named(ours, track.hosts) if ours else 0


def _turn(track: Track, tool: str, options: Options, results: _Gathered) -> None:
    """Let a tool run once, unless it failed before or would end too late."""
    runs = results[track.case.name, tool]
    longest = max((run.wall for run in runs), default=_expected(track.case, tool))
    if tool in track.failed:
        return
    if not options.has_time_for(longest):
        options.say(f"  {tool:8} left out: the time is over")
        return
    try:
        run = track.once(tool)
    except Failed as failure:
        if tool == "opsplay":
            raise
        # A quarter of an hour of others' rounds is not thrown away for one peer.
        options.say(f"  {tool:8} left out from here on: {failure}")
        track.failed.add(tool)
        return
    runs.append(run)
    options.say(_said(tool, run))


def _prepared(
    case: Case, tools: Mapping[str, int], fleet: hosts.Fleet, options: Options
) -> Iterator[tuple[str, Command]]:
    for tool in tools:
        folder = options.place / case.name / tool
        folder.mkdir(parents=True)
        on = fleet.first(case.hosts, far=case.far)
        yield tool, CONTENDERS[tool].prepare(folder, fleet, on, options.say)


@dataclass
class Track:
    """Where the tools of one case take their turns."""

    case: Case
    fleet: hosts.Fleet
    books: Books
    line: Group | Tree | None
    commands: Mapping[str, Command]
    failed: set[str] = field(default_factory=set)

    @property
    def hosts(self) -> tuple[hosts.Host, ...]:
        """Return the hosts of the case."""
        return self.fleet.first(self.case.hosts, far=self.case.far)

    def once(self, tool: str) -> Run:
        """Run a tool once on hosts in the right state, and see that it did what it should."""
        for host in self.hosts:
            if self.case.changing:
                job.make_fresh(host.root)
            elif job.left_undone(host.root, host.name):
                job.make_done(host.root, host.name)
        before = {host.name: job.last_touched(host.root) for host in self.hosts}
        run = measured(self.commands[tool], self.fleet, self.books, self.line)
        self._see(tool, before, run)
        return run

    def _see(self, tool: str, before: Mapping[str, int], run: Run) -> None:
        # A tool that did nothing and ended well would be the fastest of all.
        count = len(self.hosts)
        if _named(self.commands[tool], self.hosts) < count or run.hosts_cpu < 0.001 * count:
            said = output(self.commands[tool])[-1500:]
            raise Failed(f"{tool} did not go to every host:\n{said}")
        for host in self.hosts:
            if left := job.left_undone(host.root, host.name):
                raise Failed(f"{tool} left undone on {host.name}: {', '.join(left)}")
            if not self.case.changing and job.last_touched(host.root) != before[host.name]:
                raise Failed(f"{tool} changed something on {host.name}, where all was done")


def _named(command: Command, on: Sequence[hosts.Host]) -> int:
    """Return how many hosts have a line in what a tool printed."""
    told = output(command)
    return sum(host.name in told for host in on)


def _said(tool: str, run: Run) -> str:
    return (
        f"  {tool:8} {run.wall:8.2f} s wall {run.cpu:8.2f} s CPU {run.hosts_cpu:8.2f} s hosts' CPU"
        f" {run.memory:6.0f} MB   others took {run.foreign:.2f} cores"
    )


def _markdown(cases: Sequence[Case], results: Results, *, exact: bool) -> str:
    headings = (
        "case", "tool", "rounds", "wall s", "from … to", "controller CPU s", "hosts' CPU s",
        "memory MB", "others, cores",
    )  # fmt: skip
    rows = [
        _row(case, tool, results[case.name, tool])
        for case in cases
        for tool in CONTENDERS
        if results.get((case.name, tool))
    ]
    how = "the kernel's accounts" if exact else "adding up the process tree; orphans are missing"
    peers = ", ".join(f"{name} {version(name)}" for name in ("ansible", "mitogen", "pyinfra"))
    cases_in_words = "\n".join(f"- `{case.name}`: {case.what}" for case in cases)
    return f"{cases_in_words}\n\n{table(headings, rows)}\n\nPeers: {peers}. CPU by {how}."


def _row(case: Case, tool: str, runs: Sequence[Run]) -> tuple[str, ...]:
    walls = sorted(run.wall for run in runs)
    return (
        case.name, tool, str(len(runs)), number(value("wall", runs, case.hosts)),
        f"{number(walls[0])} … {number(walls[-1])}", number(value("cpu", runs, case.hosts)),
        number(statistics.median(run.hosts_cpu for run in runs)),
        f"{value('memory', runs, case.hosts):.0f}",
        f"{statistics.median(run.foreign for run in runs):.2f}",
    )  # fmt: skip


def _data(cases: Sequence[Case], results: Results) -> list[dict[str, Any]]:
    return [
        {"case": case.name, "tool": tool, "hosts": case.hosts, **run.facts}
        for case in cases
        for tool in CONTENDERS
        for run in results.get((case.name, tool), ())
    ]


def _plot(cases: Sequence[Case], results: Results) -> Plot:
    near = sorted(
        (case for case in cases if not case.far and not case.changing), key=lambda one: one.hosts
    )

    def panel(title: str, up: str, quantity: Any) -> Panel:
        series = [
            Series(
                tool,
                [
                    (case.hosts, value(quantity, results[case.name, tool], case.hosts))
                    for case in near
                    if results.get((case.name, tool))
                ],
                ours=tool == "opsplay",
                quiet=tool == "floor",
            )
            for tool in CONTENDERS
        ]
        return Panel(title, "hosts", up, [one for one in series if one.points])

    return Plot(
        "bench-compare.svg",
        "Wall time and CPU time of each tool by number of hosts",
        [
            panel("Twenty steps, nothing to do: wall time", "seconds", "wall"),
            panel("The controller's CPU time", "seconds", "cpu"),
        ],
    )
