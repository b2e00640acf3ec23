"""Backups and restores of one site, against restic and borgmatic, act by act and turn by turn.

All tools save the same files and the same database in the same state, one after the other; who
begins changes with the round. A backup that cannot bring the site back is no result.
"""

from __future__ import annotations

import json
import secrets
import shutil
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.backup.database import running as database_running
from tests.bench import hosts
from tests.bench.accounts import Books
from tests.bench.backups_run import Cost, cost, wait_for_quiet
from tests.bench.backups_site import Shop
from tests.bench.backups_tools import TOOLS, Setting, Tool, there, versions
from tests.bench.outcome import Options, Outcome, Panel, Plot, Series, Verdict, number, table
from tests.bench.timing import Failed
from tests.vaults.seaweed import running as storage_running

NAME = "backups"
Results: TypeAlias = Mapping[tuple[str, str], Sequence[Cost]]
"""(act, tool) → its costs."""
_Gathered: TypeAlias = defaultdict[tuple[str, str], list[Cost]]
_RIVAL = "restic"
_FULL_SECONDS = 150.0
"""Of one round of all three tools at full size, as seen on two cores: for the estimate alone."""


@dataclass(frozen=True)
class Act:
    """One thing that every tool does in each round."""

    name: str
    what: str
    saves: Literal["files", "both"]
    changes: Literal["", "files", "both"] = ""
    """What is changed on the site before."""
    restores: bool = False


ACTS = (
    Act("first", "first backup, files and database", "both"),
    Act("unchanged-files", "backup of the files, nothing has changed", "files"),
    Act("unchanged-both", "backup of files and database, nothing has changed", "both"),
    Act("changed-files", "backup of the files, 1 % of them have changed", "files", "files"),
    Act(
        "changed-both",
        "backup of files and database, 1 % and 0.1 % of rows changed",
        "both",
        "both",
    ),
    Act("restore-files", "restore of the files into an empty root", "files", restores=True),
    Act("restore-both", "restore of files and database", "both", restores=True),
)


@dataclass(frozen=True)
class Goal:
    """How many times less than restic's one quantity of one act must be."""

    act: str
    quantity: Literal["wall", "host_memory"]
    needed: float


GOALS = (
    Goal("first", "wall", 1.5),
    Goal("first", "host_memory", 4.0),
    Goal("unchanged-files", "wall", 5.0),
    Goal("changed-files", "wall", 5.0),
    Goal("unchanged-both", "wall", 1.0),
    Goal("changed-both", "wall", 1.0),
    Goal("restore-files", "wall", 1.3),
)
_WORDS = {"wall": "time, s", "host_memory": "memory on the host, MB"}


def estimate(options: Options) -> float:
    """Return the seconds that all rounds will take on a quiet machine with two cores."""
    return 20.0 + _rounds(options) * (20.0 + _FULL_SECONDS * _scale(options))


def _rounds(options: Options) -> int:
    return options.rounds or (1 if options.quick else 3)


def _scale(options: Options) -> float:
    return options.scale or (0.05 if options.quick else 1.0)


def measure(options: Options) -> Outcome:
    """Run all rounds and return what they cost. Raises Failed when opsplay does not do its job."""
    tools = [name for name in options.tools or TOOLS if name in TOOLS and there(name, options.say)]
    results: _Gathered = defaultdict(list)
    with ExitStack() as stack:
        books = stack.enter_context(Books())
        fleet = stack.enter_context(hosts.running(options.place, 1, books))
        (options.place / "db").mkdir()
        database = stack.enter_context(database_running(options.place / "db"))
        shop = Shop(fleet.hosts[0].root, database, f"shop_{secrets.token_hex(3)}", _scale(options))
        options.say(f"making the site ({shop.texts + shop.images} files) and its database")
        shop.build()
        size = _told(shop, options.place)
        for turn in range(_rounds(options)):
            if turn and not options.has_time_for(_FULL_SECONDS * _scale(options)):
                options.say("the time is over")
                break
            track = _Track(
                shop, fleet, books, options, tools[turn % len(tools) :] + tools[: turn % len(tools)]
            )
            track.round(turn, results)
        exact = books.exact
    return Outcome(
        NAME, _markdown(results, tools, size, exact=exact), verdicts(results),
        _data(results), [_plot(results, tools)],
    )  # fmt: skip


def _told(shop: Shop, place: Path) -> str:
    count, bytes_ = shop.sizes
    words = [
        "mariadb-dump",
        "--no-defaults",
        f"--socket={shop.database.socket}",
        "-uroot",
        "--hex-blob",
        shop.name,
    ]
    with (place / "dump.sql").open("wb") as out:
        subprocess.run(words, stdout=out, check=True)
    dump = (place / "dump.sql").stat().st_size
    (place / "dump.sql").unlink()
    return f"{count:,} files of {bytes_ / 1e6:.0f} MB, and a database whose dump has {dump / 1e6:.0f} MB"


@dataclass
class _Track:
    """Where the tools take their turns, in this order."""

    shop: Shop
    fleet: hosts.Fleet
    books: Books
    options: Options
    tools: Sequence[str]

    def round(self, turn: int, results: _Gathered) -> None:
        place = self.options.place / f"round-{turn}"
        (place / "s3").mkdir(parents=True)
        try:
            with storage_running(place / "s3") as storage:
                ready = dict(self._prepared(place, turn, storage))
                for step, act in enumerate(ACTS):
                    self._act(act, 1 + turn * len(ACTS) + step, ready, results)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _prepared(self, place: Path, turn: int, storage: Any) -> Iterator[tuple[str, Tool]]:
        for name in self.tools:
            (place / name).mkdir()
            say = self.options.say
            setting = Setting(place / name, turn, self.shop, self.fleet, storage, say)
            yield name, TOOLS[name](setting)

    def _act(self, act: Act, generation: int, ready: dict[str, Tool], results: _Gathered) -> None:
        if act.changes:
            self.shop.change(generation)
        if act.changes == "both":
            self.shop.change_rows(generation)
        for name, tool in tuple(ready.items()):
            try:
                found = self._once(act, tool)
            except Failed as failure:
                if name == "opsplay":
                    raise
                self.options.say(f"  {name:9} left out from here on: {failure}")
                del ready[name]
                continue
            results[act.name, name].append(found)
            self.options.say(_said(act, name, found))

    def _once(self, act: Act, tool: Tool) -> Cost:
        wait_for_quiet()
        if not act.restores:
            command = tool.save(act.saves)
            return _with_step(
                tool, cost(command, self.fleet, self.books, tool.stored, over_ssh=tool.over_ssh)
            )
        before = (self.shop.fingerprint(), self.shop.rows())
        self.shop.empty()
        command = tool.restore(act.saves)
        found = cost(command, self.fleet, self.books, tool.stored, over_ssh=tool.over_ssh)
        if (self.shop.fingerprint(), self.shop.rows()) != before:
            raise Failed(f"{tool.name} did not bring back what it had saved")
        return _with_step(tool, found)


def _with_step(tool: Tool, found: Cost) -> Cost:
    """Return the cost with the step's own time, where the tool journals it."""
    if not tool.over_ssh:
        return found
    command = tool.save("both")
    words = [command.words[0], "logs", "last", "--json"]
    told = subprocess.run(
        words, cwd=command.folder, env=dict(command.environment), capture_output=True, check=True
    )
    events = [json.loads(line) for line in told.stdout.splitlines()]
    spent = [
        one["data"]["seconds"]
        for one in events
        if one.get("kind") == "step_finished" and one["data"]["kind"] in {"backup", "restore"}
    ]
    return replace(found, step=sum(spent))


def _said(act: Act, name: str, found: Cost) -> str:
    of_step = f" ({found.step:.2f} s of it the step)" if found.step else ""
    return (
        f"  {act.name:15} {name:9} {found.wall:7.2f} s{of_step}"
        f" {found.host_cpu:6.2f} s CPU and {found.host_memory:5.0f} MB on the host,"
        f" {found.stored:7.1f} MB stored; others took {found.foreign:.2f} cores"
    )


def verdicts(results: Results) -> list[Verdict]:
    """Return what was reached of those goals that were measured, on both sides."""
    return [
        _verdict(goal, results)
        for goal in GOALS
        if results.get((goal.act, "opsplay")) and results.get((goal.act, _RIVAL))
    ]


def _verdict(goal: Goal, results: Results) -> Verdict:
    ours, theirs = (_value(goal.quantity, results[goal.act, tool]) for tool in ("opsplay", _RIVAL))
    ratio = theirs / ours
    what = f"{goal.act}: {_WORDS[goal.quantity]} · {_RIVAL}"
    name = f"{goal.act}-{goal.quantity}-{_RIVAL}".replace("_", "-")
    return Verdict(name, what, ours, theirs, ratio, goal.needed, False, ratio >= goal.needed)


def _value(quantity: str, costs: Sequence[Cost]) -> float:
    """Return the median; of memory the most."""
    values = [float(getattr(one, quantity)) for one in costs]
    return max(values) if quantity.endswith("memory") else statistics.median(values)


_HEADINGS = (
    "act", "tool", "rounds", "s", "from … to", "step s", "host's CPU s", "host's MB",
    "controller's CPU s", "controller's MB", "stored MB", "others, cores",
)  # fmt: skip


def _markdown(results: Results, tools: Sequence[str], size: str, *, exact: bool) -> str:
    rows = [
        _row(act, tool, results[act.name, tool])
        for act in ACTS
        for tool in tools
        if results.get((act.name, tool))
    ]
    acts = "\n".join(f"- `{act.name}`: {act.what}" for act in ACTS)
    how = "the kernel's accounts" if exact else "adding up the process tree; orphans are missing"
    return f"The site: {size}.\n\n{acts}\n\n{table(_HEADINGS, rows)}\n\n{_MEANS.format(versions=versions(), how=how)}"


_MEANS = (
    "“s” is the whole command for all three; “step s” is what of it opsplay's journal gives the step,"
    " without its own start, plan and connection. opsplay works from a controller over SSH, and “host’s”"
    " is everything that ran there, sshd included; restic and"
    " borgmatic run on the host. opsplay and restic store through S3 (SeaweedFS); borg cannot, and"
    " writes into a directory of the same disk, without any network. “Others” are the database and"
    " the S3 server, for all alike. {versions}. CPU by {how}."
)


def _row(act: Act, tool: str, costs: Sequence[Cost]) -> tuple[str, ...]:
    seconds = sorted(one.wall for one in costs)

    def median(name: str) -> str:
        return number(_value(name, costs))

    return (
        act.name, tool, str(len(costs)), median("wall"),
        f"{number(seconds[0])} … {number(seconds[-1])}",
        median("step") if costs[0].step else "", median("host_cpu"),
        f"{_value('host_memory', costs):.0f}", median("controller_cpu"),
        f"{_value('controller_memory', costs):.0f}", median("stored"), median("foreign"),
    )  # fmt: skip


def _data(results: Results) -> dict[str, Any]:
    return {
        act.name: {
            tool: [one.facts for one in costs]
            for (name, tool), costs in results.items()
            if name == act.name
        }
        for act in ACTS
    }


def _plot(results: Results, tools: Sequence[str]) -> Plot:
    def panel(title: str, up: str, of: Callable[[Sequence[Cost]], float]) -> Panel:
        series = [
            Series(
                tool,
                [
                    (place, max(0.001, of(results[act.name, tool])))
                    for place, act in enumerate(ACTS, 1)
                    if results.get((act.name, tool))
                ],
                ours=tool == "opsplay",
            )
            for tool in tools
        ]
        shown = [one for one in series if one.points]
        return Panel(title, "", up, shown, [act.name for act in ACTS])

    return Plot(
        "bench-backups.svg",
        "Time, and memory on the host, of each act by tool",
        [
            panel("Time of each act", "seconds", lambda costs: _value("wall", costs)),
            panel("Memory on the host", "MB", lambda costs: _value("host_memory", costs)),
        ],
    )
