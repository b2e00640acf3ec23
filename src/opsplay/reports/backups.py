"""The backups in the vaults and how far they can be trusted, for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from opsplay.core.event import State
from opsplay.core.verdict import Backup, Damage, Shelf, Verdict
from opsplay.reports.words import ago, counted, moment_text, size, state_text

_NONE = "no backups yet; make one: invoke run playbooks/backup.yaml"
_COLUMNS = (
    "site", "snapshot", "age", "from", "holds", "kind", "size", "added", "verified", "locked until",
    "remarks",
)  # fmt: skip
_RIGHT = frozenset({"size", "added"})
_FOLDS = frozenset({"holds", "remarks"})


def backups_table(shelves: Iterable[Shelf], now: datetime) -> RenderableType:
    """Return the table, by site, newest first, with alarms below; a sentence when there is none."""
    every = sorted(shelves, key=lambda one: one.site)
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name in _COLUMNS:
        justify: Any = "right" if name in _RIGHT else "left"
        table.add_column(name, no_wrap=name not in _FOLDS, justify=justify)
    for shelf in every:
        for one in reversed(shelf.backups):
            table.add_row(*_row(one, shelf, now))
    return Group(table if table.row_count else Text(_NONE), *_warnings(every))


def _row(one: Backup, shelf: Shelf, now: datetime) -> tuple[str, ...]:
    snapshot, lock = one.snapshot, one.lock
    return (
        snapshot.site, snapshot.snap, ago(snapshot.started_at, now), snapshot.environment,
        " + ".join(snapshot.parts), "full" if snapshot.kind == "full" else "changes",
        size(snapshot.stored_bytes), size(snapshot.added_bytes), _verified(one, now),
        f"{lock:%Y-%m-%d}" if lock and lock > now else "–", ", ".join(_remarks(one, shelf)),
    )  # fmt: skip


def _verified(one: Backup, now: datetime) -> str:
    if one.damage:
        return "DAMAGED"
    return f"level {one.proved.level}, {ago(one.proved.at, now)}" if one.proved else "never"


def _remarks(one: Backup, shelf: Shelf) -> Iterable[str]:
    if one.suspect:
        yield "SUSPECT"
    if shelf.signed and not one.signer:
        yield "not signed by a key that is trusted here"
    if one.snapshot.label:
        yield one.snapshot.label
    cms = one.snapshot.cms
    yield f"{cms.name} {cms.version}".strip()


def _warnings(shelves: Sequence[Shelf]) -> Iterable[Text]:
    for shelf in shelves:
        damage = [str(one) for backup in shelf.backups for one in backup.damage]
        for told in (*shelf.alarms, *map(str, shelf.damage), *damage):
            yield state_text(State.FAILED).append(f"  {shelf.site}: {told}")


def backups_data(shelves: Iterable[Shelf]) -> list[dict[str, Any]]:
    """Return the backups as JSON-ready data, in the table's order."""
    every = sorted(shelves, key=lambda one: one.site)
    return [_data(one) for shelf in every for one in reversed(shelf.backups)]


def alarms_data(shelves: Iterable[Shelf]) -> list[dict[str, str]]:
    """Return what somebody has to look at, as JSON-ready data."""
    return [
        {"site": shelf.site, "told": told}
        for shelf in shelves
        for told in (*shelf.alarms, *map(str, shelf.damage))
    ]


def _data(one: Backup) -> dict[str, Any]:
    snapshot, proved = one.snapshot, one.proved
    return {
        "site": snapshot.site,
        "snapshot": snapshot.snap,
        "environment": snapshot.environment,
        "started_at": snapshot.started_at.isoformat(),
        "sealed_at": snapshot.sealed_at.isoformat(),
        "sealed": moment_text(snapshot.sealed_at),
        "stored_at": one.stored.isoformat(),
        "kind": snapshot.kind,
        "bytes": snapshot.stored_bytes,
        "added_bytes": snapshot.added_bytes,
        "streams": {stream.name: stream.stored_bytes for stream in snapshot.streams},
        "cms": snapshot.cms.name,
        "cms_version": snapshot.cms.version,
        "label": snapshot.label,
        "run": snapshot.run_id,
        "manifest": snapshot.key,
        "chain": snapshot.chain,
        "signed": bool(one.signer),
        "verified_level": proved.level if proved else 0,
        "verified_at": proved.at.isoformat() if proved else None,
        "damage": [str(damage) for damage in one.damage],
        "suspect": list(snapshot.suspect) if one.suspect else [],
        "locked_until": one.lock.isoformat() if one.lock else None,
        "kept_because": one.fate.why if one.fate and one.fate.stays else "",
        "kept_until": one.fate.until.isoformat() if one.fate and one.fate.until else None,
    }


def verdicts_text(site: str, verdicts: Sequence[Verdict], damage: Iterable[Damage]) -> Text:
    """Return what a verification of a site found: one line a backup, one a damaged object."""
    text = Text()
    for one in verdicts:
        text.append_text(state_text(State.OK if one.good else State.FAILED))
        text.append(f"  {site}  {one.snap}  level {one.level}  {one.looked_at}\n")
        for wrong in one.damage:
            text.append(f"{'':16}{wrong}\n")
    for wrong in damage:
        text.append_text(state_text(State.FAILED)).append(f"  {site}  {wrong}\n")
    bad = sum(not one.good for one in verdicts)
    told = (
        f"{bad} of {counted(len(verdicts), 'backup')} damaged" if bad else "whole, as far as seen"
    )
    return text.append(f"{site}: {told if verdicts else 'no backups to verify'}")


def verdict_data(one: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON-ready data."""
    return {
        "snapshot": one.snap,
        "level": one.level,
        "good": one.good,
        "looked_at": one.looked_at,
        "damage": [{"key": wrong.key, "what": wrong.what} for wrong in one.damage],
    }
