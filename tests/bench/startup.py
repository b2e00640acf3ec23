"""What opsplay costs before and around the work: its start, its imports, its reading, its looks."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from tests.bench import hosts, job
from tests.bench.accounts import Books
from tests.bench.contenders import BIN, CONTENDERS
from tests.bench.outcome import Options, Outcome, number, table
from tests.bench.timing import Command, Run, measured

NAME = "startup"
_ROUNDS = 7
_TASKS = "from opsplay.cli import adopt, namespace\n\n__all__ = ['namespace']\nadopt()\n"
_PARTS = (
    ("run_started", "Python, imports, playbook and inventory read"),
    ("planned", "SSH connection, and the look at twenty steps"),
    ("run_finished", "twenty steps gone through, journal"),
    ("", "summary, and the end of the process"),
)
"""Event that ends a part, and what the part is."""


def estimate(options: Options) -> float:
    """Return the seconds it takes: five commands, and the hosts' start."""
    return 5.0 + 2.0 * (options.rounds or _ROUNDS)


def measure(options: Options) -> Outcome:
    """Run each command some times, turn by turn."""
    options.say("\nstartup: one host with nothing to do")
    with Books() as books, hosts.running(options.place / NAME, 1, books) as fleet:
        host = fleet.hosts[0]
        job.make_done(host.root, host.name)
        folder = options.place / NAME / "ops"
        folder.mkdir()
        ours = CONTENDERS["opsplay"].prepare(folder, fleet, [host], options.say)
        (folder / "tasks.py").write_text(_TASKS)
        commands = _commands(ours)
        runs: dict[str, list[Run]] = defaultdict(list)
        parts: dict[str, list[float]] = defaultdict(list)
        for turn in range(1 + (options.rounds or _ROUNDS)):
            for name, command in commands.items():
                begun = time.time()
                run = measured(command, fleet, books, None)
                if turn and name == _RUN:
                    _take_apart(ours, begun, run.wall, parts)
                if turn:  # the first round writes byte code
                    runs[name].append(run)
        imports = _imports(ours)
    return Outcome(
        NAME, _markdown(runs, parts, imports),
        data={name: [run.facts for run in some] for name, some in runs.items()},
    )  # fmt: skip


_RUN = "opsplay run, one host, nothing to do"


def _commands(ours: Command) -> dict[str, Command]:
    def other(*words: str) -> Command:
        return replace(ours, words=words)

    opsplay, *run = ours.words
    return {
        "python -c pass": other(sys.executable, "-c", "pass"),
        "opsplay --version": other(opsplay, "--version"),
        "invoke --version": other(str(BIN / "invoke"), "--version"),
        _RUN: ours,
        "invoke run, the same": other(str(BIN / "invoke"), *run),
    }


def _take_apart(ours: Command, begun: float, wall: float, parts: dict[str, list[float]]) -> None:
    """Add the seconds of each part of the run that has just ended, by its journal's times."""
    words = [ours.words[0], "logs", "last", "--json"]
    told = subprocess.run(
        words, cwd=ours.folder, env=dict(ours.environment), capture_output=True, check=True
    ).stdout
    events = [json.loads(line) for line in told.splitlines()]
    at = {
        event["kind"]: datetime.fromisoformat(event["at"]).timestamp()
        for event in events
        if event.get("message_type") == "event"
    }
    for kind, what in _PARTS:
        ended = at.get(kind, begun) if kind else max(begun + wall, *at.values())
        parts[what].append(ended - max([begun, *(at[one] for one in _before(kind) if one in at)]))


def _before(kind: str) -> Iterator[str]:
    for one, _ in _PARTS:
        if one == kind:
            return
        yield one


def _imports(ours: Command) -> list[tuple[str, float]]:
    """Return the packages whose modules take longest to import in a run, in milliseconds."""
    words = [sys.executable, "-X", "importtime", *ours.words]
    told = subprocess.run(
        words, cwd=ours.folder, env=dict(ours.environment), capture_output=True, check=True
    ).stderr.decode()
    spent: dict[str, float] = defaultdict(float)
    for line in told.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            spent[rest.partition("|")[2].strip().partition(".")[0]] += int(own) / 1000
    return sorted(spent.items(), key=lambda one: -one[1])


def _markdown(
    runs: Mapping[str, Sequence[Run]],
    parts: Mapping[str, Sequence[float]],
    imports: Sequence[tuple[str, float]],
) -> str:
    def median(some: Sequence[Run], what: str) -> str:
        return number(1000 * statistics.median(getattr(run, what) for run in some))

    commands = table(
        ("command", "wall ms", "CPU ms", "memory MB", "others, cores"),
        [
            (
                name, median(some, "wall"), median(some, "cpu"),
                f"{max(run.memory for run in some):.0f}",
                f"{statistics.median(run.foreign for run in some):.2f}",
            )
            for name, some in runs.items()
        ],
    )  # fmt: skip
    taken = table(
        ("part of that run", "wall ms"),
        [(what, number(1000 * statistics.median(some))) for what, some in parts.items()],
    )
    total = sum(spent for _, spent in imports)
    most = ", ".join(f"{name} {spent:.0f}" for name, spent in imports[:8])
    return f"{commands}\n\n{taken}\n\nImports of that run: {total:.0f} ms ({most} …)."
