"""The backups in the vaults and how far they can be trusted, for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from opsplay.core.event import State
from opsplay.core.verdict import Backup, Damage, Shelf, Verdict
from opsplay.kit.wording import counted, size
from opsplay.reports.words import QUIET, ago, moment_text, state_text

_NONE = "no backups yet; make one: invoke run playbooks/backup.yaml"
_HEAD = ("snapshot", "age", "size", "added", "verified", "lock ends")
_RIGHT = frozenset({"size", "added"})
_GAP = "  "
_UNASKED = "no key is trusted here: nobody checked who sealed these (.opsplay/keys/allowed_signers)"


def backups_table(shelves: Iterable[Shelf], now: datetime) -> RenderableType:
    """Return the backups by site, newest first, with alarms below; a sentence when there is none.

    80 columns are enough: what is special about a backup stands on lines of its own below it.
    """
    every = sorted(shelves, key=lambda one: one.site)
    rows = [_HEAD, *(_row(one, now) for shelf in every for one in shelf.backups)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown: list[RenderableType] = [_line(_HEAD, widths, QUIET)]
    for shelf in every:
        shown += _shelf(shelf, widths, now) if shelf.backups else []
    table = shown if len(shown) > 1 else [Text(_NONE)]
    return Group(*table, *_drills(every, now), *_warnings(every))


def _shelf(shelf: Shelf, widths: Sequence[int], now: datetime) -> Iterable[RenderableType]:
    usual = _cms(shelf.backups[-1])
    yield Text.assemble((shelf.site, "bold"), _visible(f"{_GAP}{usual}, plan {shelf.plan}"))
    if not shelf.signed:
        yield _below(_UNASKED, "bold")
    for one in reversed(shelf.backups):
        yield _line(_row(one, now), widths, "red" if one.damage else "")
        for warning in _doubts(one):
            yield _below(warning, "bold red")
        if remarks := ", ".join(_remarks(one, usual)):
            yield _below(remarks, QUIET)


def _row(one: Backup, now: datetime) -> tuple[str, ...]:
    snapshot, lock = one.snapshot, one.lock
    return (
        snapshot.snap,
        _age(snapshot.started_at, now),
        size(snapshot.stored_bytes),
        size(snapshot.added_bytes),
        _verified(one, now),
        f"{lock:%Y-%m-%d}" if lock and lock > now else "–",
    )


def _line(cells: Sequence[str], widths: Sequence[int], style: str) -> Text:
    padded = (
        cell.rjust(width) if name in _RIGHT else cell.ljust(width)
        for name, cell, width in zip(_HEAD, cells, widths, strict=True)
    )
    return Text(_visible((_GAP + _GAP.join(padded)).rstrip()), style)


def _below(text: str, style: str) -> Padding:
    return Padding(Text(_visible(text), style), (0, 0, 0, 2 * len(_GAP)), expand=False)


def _visible(text: str) -> str:
    """Return a text without what a terminal obeys: a stranger may have written the manifest."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _age(moment: datetime, now: datetime) -> str:
    if moment > now:
        return "future"
    return ago(moment, now).removesuffix(" ago").replace("just now", "now")


def _verified(one: Backup, now: datetime) -> str:
    if one.damage:
        return "DAMAGED"
    if not one.proved:
        return "never"
    return f"level {one.proved.level}, {_age(one.proved.at, now)}"


def _doubts(one: Backup) -> Iterable[str]:
    if one.suspect:
        yield f"SUSPECT: {'; '.join(one.snapshot.suspect)}"
    if one.doubt:
        yield f"DOES NOT COUNT: it {one.doubt}"


def _remarks(one: Backup, usual: str) -> Iterable[str]:
    """Yield what is not the same for nearly all: what is not said is an increment of production."""
    snapshot = one.snapshot
    if snapshot.environment != "production":
        yield f"of {snapshot.environment}"
    if len(snapshot.parts) == 1:
        yield f"{snapshot.parts[0]} only"
    if snapshot.kind == "full" and "files" in snapshot.parts:
        yield "full"
    if snapshot.label:
        yield snapshot.label
    if _cms(one) != usual:
        yield _cms(one)


def _cms(one: Backup) -> str:
    return f"{one.snapshot.cms.name} {one.snapshot.cms.version}".strip()


def _drills(shelves: Sequence[Shelf], now: datetime) -> Iterable[Text]:
    """Yield how each promise of drills stands; one that is broken is among the alarms."""
    for shelf in shelves:
        if shelf.drills and not shelf.drills.overdue(now):
            yield state_text(State.OK).append(f"  {shelf.site}: {shelf.drills.told(now)}")


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


def drills_data(shelves: Iterable[Shelf], now: datetime) -> list[dict[str, Any]]:
    """Return how the promises of drills stand, as JSON-ready data."""
    return [
        {
            "site": shelf.site,
            "every": one.every,
            "last": one.last.isoformat() if one.last else None,
            "due": one.due.isoformat() if one.due else None,
            "overdue": one.overdue(now),
        }
        for shelf in shelves
        if (one := shelf.drills)
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
