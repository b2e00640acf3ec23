"""Ledgers of erasures, for a person and for a program. Whom a request means is never shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from opsplay.core.erasure import Applied, Entry, Erasure
from opsplay.kit.wording import counted
from opsplay.reports.words import moment_text

Ledgers = Mapping[str, Sequence[Entry]]


def recorded_text(request: Erasure, rows: int | None, *, kept: bool) -> Text:
    """Return what was recorded, or would be, in words."""
    text = Text()
    text.append(f"{request.site}: {request.what}\n")
    if rows is not None:
        text.append(f"the live site has {counted(rows, 'row')} that it means\n")
    if not kept:
        return text.append("nothing was written")
    text.append(f"request {request.id} is in the ledger: every restore from now on carries it out")
    if rows:
        text.append(
            f"\nthe live site still holds it: invoke erase … --live does both, or run a playbook with"
            f"\n  - erasure: {{requests: [{request.id}]}}"
        )
    return text


def recorded_data(request: Erasure, rows: int | None, *, kept: bool) -> dict[str, Any]:
    """Return what was recorded, or would be, as JSON-ready data."""
    return {**_told(request), "site": request.site, "rows": rows, "recorded": kept}


def ledgers_table(ledgers: Ledgers) -> RenderableType:
    """Return the requests of all sites as a table; a sentence when there is none."""
    if not ledgers:
        return Text("no ledger has a request; note one: invoke erase SITE --table=… --where=…")
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name in ("site", "request", "recorded", "asked on", "asked by", "what", "live site"):
        table.add_column(name, no_wrap=name in {"site", "request", "recorded", "asked on"})
    for site, one, done in _requests(ledgers):
        live = f"done {moment_text(done.at)}" if done else "not by opsplay"
        recorded = moment_text(one.recorded_at)
        table.add_row(site, one.id, recorded, str(one.asked_on), one.asked_by, one.what, live)
    return table


def ledgers_data(ledgers: Ledgers) -> list[dict[str, Any]]:
    """Return the requests of all sites as JSON-ready data."""
    return [
        {**_told(one), "site": site, "applied_at": done.at.isoformat() if done else None}
        for site, one, done in _requests(ledgers)
    ]


def _requests(ledgers: Ledgers) -> Iterator[tuple[str, Erasure, Applied | None]]:
    for site, entries in sorted(ledgers.items()):
        done = {one.request: one for one in entries if isinstance(one, Applied)}
        for one in entries:
            if isinstance(one, Erasure):
                yield site, one, done.get(one.id)


def _told(request: Erasure) -> dict[str, Any]:
    return {
        "request": request.id,
        "recorded_at": request.recorded_at.isoformat(),
        "asked_on": request.asked_on.isoformat(),
        "asked_by": request.asked_by,
        "table": request.table,
        "key_column": request.key_column,
        "delete": request.delete,
        "columns": sorted(request.columns),
        "at_most": request.at_most,
    }
