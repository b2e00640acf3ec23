"""How memory and time grow with the number of sites: 100, 1,000, 10,000 on hosts made of answers.

Everything but the hosts is real: inventory files on disk, the language, the planner, the WordPress
driver, the journal with its fsyncs. Each measurement is a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from tests.bench.outcome import Options, Outcome, Panel, Plot, Series, Verdict, number, table

Row: TypeAlias = dict[str, Any]

NAME = "scale"
SIZES = (100, 1_000, 10_000)
WORKS = {
    "check": "every site has a core and four plugins to update",
    "run": "no site has anything to do, and the journal says so",
}
SITES_A_HOST = 4
_MEANS = (
    "Inventory files on disk, language, planner, WordPress driver, journal with its fsyncs and what is"
    " printed are real; the hosts are answers. Two environments a site, four sites a host, `order: risk`"
    " and `serial: [1, 10%, 50%]`. Parts are CPU seconds, as other work on the machine would count else."
)
_KEY = "age1ywwnfm2cf3k2znaj95pwpjn22pgvl8q3p0u3dapy6g7459vc2fhquystgj"
MODULES = 20
"""Plugins and themes of each site; a shop has about as many."""

BOOK = """\
name: Monthly update
sites: all
serial: [1, 10%, 50%]
order: risk
max_fail_percentage: 0
stages:
  - name: Protect
    prepares: Publish
    steps: [backup: {}]
  - name: Rehearse
    environment: staging
    prepares: Publish
    steps:
      - staging_clone: {from: production}
      - cms_update: {to: latest}
      - module_update: {to: latest}
  - name: Publish
    maintenance: true
    on_failure: rollback
    steps:
      - cms_update: {to: rehearsed}
      - module_update: {to: rehearsed}
"""


def estimate(options: Options) -> float:
    """Return the seconds it takes, nearly all of them for the most sites."""
    return sum(0.012 * size for size in _sizes(options) for _ in WORKS)


def measure(options: Options) -> Outcome:
    """Do each work with each number of sites, each in a process of its own."""
    options.say("\nscale: hosts made of answers")
    rows = []
    for size in _sizes(options):
        for work in WORKS:
            rows.append(row := _in_a_process(work, size, options.place / NAME))
            options.say(f"  {work} {size}: {row['seconds']:.1f} s, {row['memory']:.0f} MB")
    return Outcome(NAME, _markdown(rows), tuple(_goals(rows)), rows, (_plot(rows),))


def _sizes(options: Options) -> tuple[int, ...]:
    return SIZES[:2] if options.quick else SIZES


def _in_a_process(work: str, size: int, place: Path) -> Row:
    where = place / f"{work}-{size}"
    where.mkdir(parents=True)
    words = [sys.executable, "-m", "tests.bench.scale", work, str(size), str(where)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def measured(work: str, size: int, where: Path) -> Row:
    """Do the work once, in this process and an empty directory. Seconds; memory in MB (10⁶)."""
    ops_repository(where, size)
    parts: dict[str, float] = {}
    with hosts_of_answers(pending=work == "check"), _timed(parts):
        start, busy = time.perf_counter(), time.process_time()
        ended = carry_out(work, where)
        parts |= {"seconds": time.perf_counter() - start, "cpu": time.process_time() - busy}
    journal = where / ".opsplay/journal.db"
    return {
        "work": work,
        "sites": size,
        "hosts": -(-size // SITES_A_HOST),
        **{name: round(seconds, 3) for name, seconds in parts.items()},
        "memory": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        "journal": round(journal.stat().st_size / 1e6, 1) if journal.exists() else 0.0,
        "status": ended,
    }


def _markdown(rows: Sequence[Row]) -> str:
    names = ("read", "plan", "carry_out", "cpu", "seconds", "memory", "journal")
    units = ("ms CPU", "ms CPU", "ms CPU", "ms CPU", "ms", "kB", "kB")
    headings = (
        "sites",
        "hosts",
        "reading",
        "planning",
        "carrying out",
        "CPU s",
        "s",
        "MB",
        "journal MB",
    )
    told = [_MEANS]
    for work, meaning in WORKS.items():
        found = [row for row in rows if row["work"] == work]
        lines = [
            (f"{row['sites']:,}", f"{row['hosts']:,}", *(_cell(row, name) for name in names))
            for row in found
        ]
        told += [f"`{work}`: {meaning}", table(headings, lines)]
        first, last = found[-2:]
        growth = (
            f"{name.replace('_', ' ')} {number(1000 * _more(first, last, name))} {unit}"
            for name, unit in zip(names, units, strict=True)
            if name in last
        )
        told.append(
            f"One site more, between {first['sites']:,} and {last['sites']:,}: {', '.join(growth)}."
        )
    return "\n\n".join(told)


def _cell(row: Row, name: str) -> str:
    return number(row[name]) if name in row else ""


def _more(first: Row, last: Row, name: str) -> float:
    return float((last[name] - first[name]) / (last["sites"] - first["sites"]))


def _goals(rows: Sequence[Row]) -> Iterator[Verdict]:
    by = {(row["work"], row["sites"]): row for row in rows}
    for size, seconds, memory in ((100, 5.0, 100.0), (10_000, 60.0, 500.0)):
        if row := by.get(("check", size)):
            what = f"{size:,} sites read and planned, CPU seconds"
            yield _goal(f"planned-{size}", what, row["read"] + row["plan"], seconds)
        for work in WORKS:
            if row := by.get((work, size)):
                what = f"{size:,} sites, `{work}`, MB"
                yield _goal(f"memory-{work}-{size}", what, row["memory"], memory)
    for work in WORKS:
        small, large = by.get((work, SIZES[1])), by.get((work, SIZES[2]))
        if small and large:
            what = f"`{work}`: CPU of 10,000 sites over that of 1,000"
            yield _goal(f"growth-{work}", what, large["cpu"] / small["cpu"], 15.0)


def _goal(name: str, what: str, ours: float, needed: float) -> Verdict:
    return Verdict(
        f"scale-{name}", what, ours, None, None, needed, at_most=True, met=ours <= needed
    )


def _plot(rows: Sequence[Row]) -> Plot:
    def series(name: str) -> list[Series]:
        return [
            Series(
                work, [(r["sites"], r[name]) for r in rows if r["work"] == work], ours=work == "run"
            )
            for work in WORKS
        ]

    return Plot(
        "scale.svg",
        "How CPU time and memory grow with the number of sites",
        (
            Panel("CPU of the whole command", "sites", "seconds", series("cpu")),
            Panel("Most memory it had", "sites", "MB", series("memory")),
        ),
    )


def carry_out(work: str, where: Path) -> int:
    """Do the work as the command line does, its output going nowhere; return the exit status."""
    from opsplay.app import check, run
    from opsplay.cli.showing import checked, played

    book, at = where / "book.yaml", {"inventory": where / "inventory", "state": where / ".opsplay"}
    shown = {name: str(path) for name, path in at.items()}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        if work == "check":
            return checked(lambda options: check(book, options), shown, diff=False, json=False)
        return played(lambda options: run(book, options), shown, yes=True)


def ops_repository(where: Path, size: int) -> None:
    """Write an ops repository: a playbook, and an inventory file for each hundred sites."""
    (where / "inventory").mkdir()
    (where / "book.yaml").write_text(BOOK)
    vault = f"vaults:\n  here: {{kind: folder, folder: {where}/vault, recipients: [{_KEY}]}}\n"
    (where / "inventory/vault.yaml").write_text(vault)
    for first in range(0, size, 100):
        sites = "".join(_site(number) for number in range(first, min(first + 100, size)))
        text = f"client: Client {first}\nsites:\n{sites}"
        (where / f"inventory/client-{first:05}.yaml").write_text(text)


def _site(number: int) -> str:
    name, host = f"site-{number:05}", f"shops@web{number // SITES_A_HOST:04}.example"
    plan = ("essentiel", "essentiel", "business", "critique")[number % 4]
    return (
        f"  {name}:\n    cms: wordpress\n    vault: here\n    plan: {plan}\n    environments:\n"
        f'      production: {{host: {host}, root: "/srv/{name}", url: "https://{name}.example"}}\n'
        f'      staging: {{host: {host}, root: "/srv/{name}-staging",'
        f' url: "https://staging.{name}.example"}}\n'
    )


@contextmanager
def hosts_of_answers(*, pending: bool) -> Iterator[None]:
    from opsplay.app import workshop
    from opsplay.core.environment import Host
    from opsplay.core.transport import Transport

    real, said = workshop.open_transport, _facts(pending=pending)

    def opened(host: Host) -> Transport:
        from opsplay.transports.fake import FakeTransport

        fake = FakeTransport(host).on("", lambda script, _stdin: _answered(script, said))
        fake.scripts = deque(maxlen=0)  # type: ignore[assignment]  # what was sent is not kept
        return fake

    workshop.open_transport = opened
    try:
        yield
    finally:
        workshop.open_transport = real


_PART = re.compile(r"\n\) </dev/null; (?:answered|opsplay_n=\$\(\(opsplay_n\+(\d+))")
"""The end of each question in a bundle, with how many answers it has."""


def _answered(script: str, said: str) -> Any:
    from opsplay.core.query import Answer

    mark = re.findall(r"opsplay-[0-9a-f]{32}", script)[0]
    count = sum(int(found or 1) for found in _PART.findall(script))
    out, bad = (
        "".join(f"{text}\n{mark} {number} 0\n" for number in range(count)) for text in (said, "")
    )
    return Answer(0, out, bad)


def _facts(*, pending: bool) -> str:
    """Return what WordPress answers, with or without something to update."""
    offer = {"version": "2.1.0", "package": "https://source.example/module-2.1.0.zip"}
    modules = [
        {
            "name": f"module-{number}",
            "version": "2.0.0",
            "title": f"A module that is called {number}",
            "active": True,
            "offer": offer if pending and number < 4 else None,
        }
        for number in range(MODULES)
    ]
    core = [{"version": "6.5.5", "package": "https://source.example/wordpress-6.5.5.zip"}]
    facts = {
        "version": "6.4.5",
        "database_version": "56657",
        "wanted_database_version": "56657",
        "modules": modules,
        "offers": core if pending else [],
        "source_error": "",
        "withheld": [],
        "php_version": "8.2.36",
    }
    return f"boot_error=\n@@opsplay@@{json.dumps(facts)}@@end@@\n\n@@unfinished@@\n"


@contextmanager
def _timed(parts: dict[str, float]) -> Iterator[None]:
    """Note how long reading, planning and carrying out take."""
    from opsplay.app import runs
    from opsplay.engine import runner

    wrapped = (
        (runs, "read_all", "read"), (runs, "_plan", "plan"), (runner, "run_plan", "carry_out")
    )  # fmt: skip
    before = [getattr(place, name) for place, name, _ in wrapped]
    for (place, name, part), function in zip(wrapped, before, strict=True):
        setattr(place, name, _clocked(function, part, parts))
    try:
        yield
    finally:
        for (place, name, _), function in zip(wrapped, before, strict=True):
            setattr(place, name, function)


def _clocked(
    function: Callable[..., Any], part: str, parts: dict[str, float]
) -> Callable[..., Any]:
    def clocked(*words: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return function(*words, **named)
        finally:
            parts[part] = parts.get(part, 0.0) + time.process_time() - start

    return clocked


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        told = measured(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    print(json.dumps(told))
