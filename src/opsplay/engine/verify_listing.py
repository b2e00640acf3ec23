"""Level 1: the storage itself says that every object is there, as the manifests have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from opsplay.core.snapshot import Segment, Snapshot
from opsplay.core.vault import StoredObject, Vault
from opsplay.core.verdict import Backup, Damage

_AT_ONCE = 8
_SLACK = timedelta(seconds=1)
"""Storages keep lock dates in whole seconds."""


def listing(vault: Vault, backups: Iterable[Backup]) -> Mapping[str, tuple[Damage, ...]]:
    """Return manifest key → what is wrong with its objects; each object is asked for once."""
    every = tuple(backups)
    keys = sorted({segment.key for one in every for segment in one.snapshot.segments})
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = dict(zip(keys, pool.map(vault.head, keys), strict=True))
    return {one.snapshot.key: _of(one.snapshot, told) for one in every}


def _of(snapshot: Snapshot, told: Mapping[str, StoredObject | None]) -> tuple[Damage, ...]:
    found = ((segment, difference(segment, told[segment.key])) for segment in snapshot.segments)
    return tuple(Damage(segment.key, what) for segment, what in found if what)


def damage(segment: Segment, told: StoredObject | None) -> str:
    """Return how the bytes that the storage tells of differ from the manifest's; empty: not."""
    if told is None:
        return "is missing"
    if told.bytes != segment.bytes:
        return f"has {told.bytes} bytes in place of {segment.bytes}"
    if not told.holds(segment.bytes, segment.sha256, segment.md5):
        return "is damaged: its SHA-256 is not the manifest's"
    return ""


def difference(segment: Segment, told: StoredObject | None) -> str:
    """Return how what the storage tells differs from the manifest, its lock too; empty: not."""
    what = damage(segment, told)
    if what or told is None:
        return what
    wanted, again = segment.retain_until, segment.version_id not in {"", told.version_id}
    if wanted and (told.retain_until is None or told.retain_until < wanted - _SLACK):
        until = f"until {told.retain_until:%Y-%m-%d}" if told.retain_until else "not at all"
        why = f": version {told.version_id} hides {segment.version_id}" if again else ""
        return f"is locked {until}, not until {wanted:%Y-%m-%d}{why}"
    return ""  # another version of the same bytes, locked as long, is as good
