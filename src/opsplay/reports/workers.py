"""The workers, as a table for a person and as data for a program."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from opsplay.journal.leases import Held, Seen
from opsplay.reports.words import ago


def workers_table(workers: Iterable[Seen], now: datetime) -> RenderableType:
    """Return the table, the oldest first; a sentence when there is none."""
    rows = list(workers)
    if not rows:
        return Text("no worker is there; start one: invoke serve")
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name in ("worker", "on", "process", "there since", "last seen", "at work on"):
        table.add_column(name, no_wrap=name != "at work on")
    for one in rows:
        seen = Text(ago(one.seen, now), style="" if one.alive else "bold red")
        name = one.name if one.alive else f"{one.name} (dead)"
        table.add_row(
            Text(name, style="" if one.alive else "red"), one.host, str(one.pid),
            ago(one.since, now), seen, "\n".join(_work(held, now) for held in one.runs) or "-",
        )  # fmt: skip
    return table


def _work(held: Held, now: datetime) -> str:
    return f"{', '.join(held.sites)}: run {held.run}, since {ago(held.since, now)}"


def workers_data(workers: Iterable[Seen]) -> list[dict[str, Any]]:
    """Return the workers as JSON-ready data, in the table's order."""
    return [
        {
            "name": one.name,
            "host": one.host,
            "process": one.pid,
            "since": one.since.isoformat(),
            "seen": one.seen.isoformat(),
            "alive": one.alive,
            "serves": one.serves,
            "runs": [
                {"run": held.run, "sites": list(held.sites), "since": held.since.isoformat()}
                for held in one.runs
            ],
        }
        for one in workers
    ]
