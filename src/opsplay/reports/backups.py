"""The backups in the vaults, as a table for a person and as data for a program."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from opsplay.core.snapshot import Snapshot
from opsplay.reports.words import ago, moment_text, size


def backups_table(snapshots: Iterable[Snapshot], now: datetime) -> RenderableType:
    """Return the table, by site, newest first; a sentence when there is none."""
    rows = in_order(snapshots)
    if not rows:
        return Text("no backups yet; make one: invoke run playbooks/backup.yaml")
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name in ("site", "snapshot", "when", "from", "holds", "size", "CMS", "label"):
        whole = name not in {"label", "CMS", "holds"}
        table.add_column(name, no_wrap=whole, justify="right" if name == "size" else "left")
    for one in rows:
        holds = " + ".join(stream.name for stream in one.streams)
        table.add_row(
            one.site, one.snap, ago(one.sealed_at, now), one.environment, holds,
            size(one.stored_bytes), f"{one.cms.name} {one.cms.version}".strip(), one.label,
        )  # fmt: skip
    return table


def in_order(snapshots: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """Return the snapshots by site, the newest of each first."""
    newest = sorted(snapshots, key=lambda one: one.snap, reverse=True)
    return tuple(sorted(newest, key=lambda one: one.site))


def backups_data(snapshots: Iterable[Snapshot]) -> list[dict[str, Any]]:
    """Return the snapshots as JSON-ready data, in the table's order."""
    return [
        {
            "site": one.site,
            "snapshot": one.snap,
            "environment": one.environment,
            "sealed_at": one.sealed_at.isoformat(),
            "sealed": moment_text(one.sealed_at),
            "kind": one.kind,
            "bytes": one.stored_bytes,
            "streams": {stream.name: stream.stored_bytes for stream in one.streams},
            "cms": one.cms.name,
            "cms_version": one.cms.version,
            "label": one.label,
            "run": one.run_id,
            "manifest": one.key,
        }
        for one in in_order(snapshots)
    ]
