"""Level 2: fetch, decrypt and read through what a backup holds, and compare it with its sums."""

from __future__ import annotations

import hashlib
import random
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, cast

from opsplay.core.errors import OpsplayError, UnreadableAnswer, VaultRefused
from opsplay.core.event import Progress
from opsplay.core.index import Entry
from opsplay.core.snapshot import Snapshot, Stream
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.core.verdict import Damage
from opsplay.engine.restore_stream import Plaintext, identities
from opsplay.engine.snapshots import entries
from opsplay.engine.verify_plain import Hashed, plain
from opsplay.kit.clock import Clock

_TRAILER = b"\n-- Dump completed"
_END = 4096
_NAMED = 5
"""Paths of one pack that are named each; more are counted."""
_MANY_CHANGED = 100
"""A manifest names so many changing files at most: beyond, another content proves nothing."""


@dataclass(frozen=True)
class Reading:
    """What is needed to look into backups."""

    vault: Vault
    settings: VaultSettings
    here: Transport
    """To this machine: its tools decompress."""
    clock: Clock
    progress: Progress
    share: float = 1.0
    """Share of the inherited packs that is looked into; what is the backup's own always is."""


def read_through(reading: Reading, snapshot: Snapshot) -> tuple[tuple[Damage, ...], str]:
    """Return what is wrong, and in words how much was looked at.

    Raises:
        InvalidInput: no identity is configured.
        Unreachable: the storage did not answer.
        StepFailed: this machine lacks a tool.
    """
    keys = identities(reading.settings)
    chosen = _chosen(snapshot, reading.share)
    found: list[Damage] = []
    listed: tuple[Entry, ...] = ()
    try:
        listed = entries(reading.vault, snapshot, reading.settings)
        found += _unknown_packs(snapshot, listed)
    except (VaultRefused, UnreadableAnswer) as error:
        found.append(Damage(snapshot.index.segment.key if snapshot.index else "", error.what))
    for stream in chosen:
        found += _read(reading, snapshot, stream, listed, keys)
    return tuple(found), _words(snapshot, chosen)


def _chosen(snapshot: Snapshot, share: float) -> tuple[Stream, ...]:
    inherited = [one for one in snapshot.streams if one.snap]
    wanted = round(len(inherited) * share)
    some = {one.name for one in random.SystemRandom().sample(inherited, wanted)}
    return tuple(one for one in snapshot.streams if not one.snap or one.name in some)


def _words(snapshot: Snapshot, chosen: Sequence[Stream]) -> str:
    size = sum(one.stored_bytes for one in chosen)
    return f"{len(chosen)} of {len(snapshot.streams)} streams, {size / 1e6:.1f} MB"


def _unknown_packs(snapshot: Snapshot, listed: Iterable[Entry]) -> Iterator[Damage]:
    packs = {stream.pack for stream in snapshot.streams}
    missing = sorted({one.pack for one in listed if one.pack} - packs)
    for pack in missing if snapshot.index else ():
        yield Damage(snapshot.key, f"lacks the pack {pack}, which its index names")


def _read(
    reading: Reading,
    snapshot: Snapshot,
    stream: Stream,
    listed: Sequence[Entry],
    keys: Sequence[object],
) -> tuple[Damage, ...]:
    source = Plaintext(reading.vault, stream, snapshot.site, reading.clock, reading.progress)
    try:
        with plain(reading.here, source, keys) as file:
            inside = _looked_into(file, snapshot, stream, listed)
            while file.read():
                pass
            found = (*inside, *_sums(file, stream))
    except tarfile.TarError as error:
        found = (f"is no whole tar archive: {error}",)
    except VaultRefused as error:
        return (_blamed(stream, error),)
    return tuple(Damage(_key(stream), what) for what in found)


def _key(stream: Stream) -> str:
    return stream.segments[0].key if stream.segments else stream.name


def _blamed(stream: Stream, error: OpsplayError) -> Damage:
    """Return the damage with the segment that the error names, else the stream's first."""
    keys = [segment.key for segment in stream.segments]
    key = next((one for one in keys if one in error.what), _key(stream))
    return Damage(key, error.what.removeprefix(f"{key} "))


def _sums(file: Hashed, stream: Stream) -> Iterator[str]:
    if file.bytes != stream.raw_bytes:
        yield f"gives {file.bytes} plain bytes in place of {stream.raw_bytes}"
    elif file.sha256 != stream.raw_sha256:
        yield "gives other plain bytes than were saved: their SHA-256 differs"


def _looked_into(
    file: Hashed, snapshot: Snapshot, stream: Stream, listed: Sequence[Entry]
) -> tuple[str, ...]:
    if stream.type == "db":
        return tuple(_dump(file, stream))
    wanted = {one.path: one for one in listed if one.pack == stream.pack}
    return tuple(_archive(_members(file), snapshot, wanted))


def _dump(file: Hashed, stream: Stream) -> Iterator[str]:
    end = b""
    while piece := file.read():
        end = (end + piece)[-_END:]
    if stream.trailer_ok is not None and _TRAILER not in end:
        yield "is a dump without its own last line: it is cut off"


def _members(file: Hashed) -> Iterator[tuple[str, str]]:
    """Yield path and SHA-256 of each member; the sum is empty for what is no file."""
    sums: dict[str, str] = {}
    with tarfile.open(fileobj=cast("IO[bytes]", file), mode="r|", errorlevel=2) as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            if member.isfile():
                sums[path] = _sum_of(archive.extractfile(member))
            elif member.islnk():
                sums[path] = sums.get(member.linkname.removeprefix("./"), "")
            yield path, sums.get(path, "")


def _sum_of(content: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while content and (piece := content.read(1 << 18)):
        digest.update(piece)
    return digest.hexdigest()


def _archive(
    members: Iterable[tuple[str, str]], snapshot: Snapshot, wanted: Mapping[str, Entry]
) -> Iterator[str]:
    """Yield how an archive differs from what the index says of it."""
    facts = snapshot.consistency
    changing = frozenset(facts.changing) if facts else frozenset()
    lost = frozenset((*facts.vanished, *facts.unreadable)) if facts else frozenset()
    found = dict(members)
    lacking = sorted(wanted.keys() - found.keys() - lost)
    other = sorted(
        path
        for path, entry in wanted.items()
        if path not in changing and entry.sha256 and found.get(path, "") not in {"", entry.sha256}
    )
    yield from _named(lacking, "lacks {}, which the index says it holds")
    if len(changing) < _MANY_CHANGED:
        yield from _named(other, "holds another {} than the index says")


def _named(paths: Sequence[str], words: str) -> Iterator[str]:
    for path in paths[:_NAMED]:
        yield words.format(path)
    if len(paths) > _NAMED:
        yield words.format(f"{len(paths) - _NAMED} more files")
