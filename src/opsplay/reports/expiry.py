"""What an expiry takes away and what stays, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

from rich.text import Text

from opsplay.core.event import State
from opsplay.core.vault import StoredObject
from opsplay.core.verdict import Backup
from opsplay.kit.wording import counted, size
from opsplay.reports.words import QUIET, state_text


class Freed(Protocol):
    """One version that nobody needs."""

    @property
    def version(self) -> StoredObject: ...

    @property
    def why(self) -> str: ...

    @property
    def locked_until(self) -> datetime | None: ...


def expiry_text(
    site: str,
    backups: Sequence[Backup],
    objects: Sequence[Freed],
    locked: Sequence[Freed],
    remarks: Iterable[str] = (),
) -> Text:
    """Return one line a backup, then what else goes, and what must be looked at."""
    text = Text()
    for one in backups:
        if one.fate is None:
            continue
        word = "stays" if one.fate.stays else "goes "
        until = f" (until {one.fate.until:%Y-%m-%d})" if one.fate.until else ""
        style = QUIET if one.fate.stays else "yellow"
        text.append(f"{word}  {site}  {one.snapshot.snap}  {one.fate.why}{until}\n", style)
    orphans = sum(one.version.bytes for one in objects)
    text.append(f"{site}: {counted(len(objects), 'object')} to go, {size(orphans)}")
    if locked:
        soonest = min(one.locked_until for one in locked if one.locked_until)
        text.append(f"; {counted(len(locked), 'object')} nobody needs are locked,")
        text.append(f" the first until {soonest:%Y-%m-%d}")
    for remark in remarks:
        text.append("\n").append_text(state_text(State.FAILED)).append(f"  {site}: {remark}")
    return text


def expiry_data(backups: Iterable[Backup], objects: Iterable[Freed]) -> dict[str, Any]:
    """Return the same as JSON-ready data."""
    return {
        "backups": [
            {
                "snapshot": one.snapshot.snap,
                "stays": one.fate.stays,
                "why": one.fate.why,
                "until": one.fate.until.isoformat() if one.fate.until else None,
            }
            for one in backups
            if one.fate
        ],
        "objects": [
            {"key": one.version.key, "bytes": one.version.bytes, "why": one.why} for one in objects
        ],
    }
