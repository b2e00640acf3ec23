"""What of a snapshot is brought back, and which names come out of which archive. Pure."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from opsplay.core.errors import InvalidInput, VaultRefused
from opsplay.core.index import Entry, escaped
from opsplay.core.snapshot import Snapshot, Stream

Kind = Literal["database", "pack", "whole"]


@dataclass(frozen=True)
class Part:
    """One stream on its way back."""

    name: str
    """In the host's spool: `database`, `files-0`, `files-1` …"""
    stream: Stream
    kind: Kind
    """`pack`: only `entries` come out of it. `whole`: everything does (a backup without index)."""
    entries: tuple[Entry, ...] = ()

    @property
    def room(self) -> int:
        """Return how many bytes it takes on the host."""
        match self.kind:
            case "database":
                return self.stream.stored_bytes
            case "whole":
                return self.stream.raw_bytes
            case "pack":
                return sum(entry.size + 4096 for entry in self.entries)


@dataclass(frozen=True)
class Plan:
    """All that a restore fetches, the database first."""

    snapshot: Snapshot
    parts: tuple[Part, ...]
    paths: tuple[str, ...] = ()
    """Only these; empty: all of it."""
    lacking: tuple[str, ...] = ()
    """Files that the backup could not read when it was made: they do not come back."""

    @property
    def stored_bytes(self) -> int:
        """Return how many bytes are fetched."""
        return sum(part.stream.stored_bytes for part in self.parts)

    @property
    def largest(self) -> str:
        """Return the key of the largest segment; empty: nothing is fetched."""
        segments = (one for part in self.parts for one in part.stream.segments)
        return max(segments, key=lambda one: (one.bytes, one.key)).key if self.parts else ""

    @property
    def digest(self) -> str:
        """Return what tells this plan from others: what was fetched for it serves it again."""
        told = [self.snapshot.key, *self.paths]
        told += [f"{part.name} {part.stream.raw_sha256} {len(part.entries)}" for part in self.parts]
        told += [self.snapshot.index.raw_sha256 if self.snapshot.index else ""]
        return hashlib.sha256("\0".join(told).encode("utf-8", "surrogateescape")).hexdigest()

    def part(self, kind: str) -> bool:
        """Return whether anything of `database` or `files` comes back."""
        return any(part.stream.part == kind for part in self.parts)

    def needed(self) -> Snapshot:
        """Return the snapshot reduced to the streams that are fetched."""
        return replace(self.snapshot, streams=tuple(part.stream for part in self.parts))

    def rows(self) -> bytes:
        """Return the list of names as the host's spool holds it; see `host/restore.sh`."""
        lines = [_row(part.name, entry) for part in self.parts for entry in part.entries]
        return "\n".join([*lines, "=end", ""]).encode("utf-8", "surrogateescape")


def plan(
    snapshot: Snapshot,
    entries: Sequence[Entry],
    include: Iterable[str] = ("database", "files"),
    paths: Iterable[str] = (),
) -> Plan:
    """Return what a restore of these parts, or only of these paths, fetches.

    Raises:
        InvalidInput: the backup does not hold what is asked for.
        VaultRefused: the index names an archive that the manifest does not.
    """
    chosen, wanted = tuple(map(_plain, paths)), set(include)
    if lacking := sorted(wanted - set(snapshot.parts)):
        held = ", ".join(sorted(snapshot.parts))
        raise InvalidInput(
            f"backup {snapshot.snap} holds {held}, not {', '.join(lacking)}",
            next_command=f"invoke backups {snapshot.site}",
        )
    if chosen:
        wanted, entries = {"files"}, _below(snapshot, entries, chosen)
    parts = [_database(snapshot)] if "database" in wanted else []
    parts += _files(snapshot, entries) if "files" in wanted else []
    unsaved = [one.path for one in entries if one.kind == "file" and not one.pack]
    return Plan(snapshot, tuple(parts), chosen, tuple(unsaved) if "files" in wanted else ())


def _plain(path: str) -> str:
    words = [word for word in path.split("/") if word not in {"", "."}]
    if not words or ".." in words:
        raise InvalidInput(f"{path!r} is no path below the site's root")
    return "/".join(words)


def _database(snapshot: Snapshot) -> Part:
    stream = next(one for one in snapshot.streams if one.type == "db")
    return Part("database", stream, "database")


def _files(snapshot: Snapshot, entries: Sequence[Entry]) -> list[Part]:
    streams = [one for one in snapshot.streams if one.type == "files"]
    if snapshot.index is None:
        return [Part(f"files-{n}", one, "whole") for n, one in enumerate(streams)]
    by_pack: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.pack and entry.kind != "other":
            by_pack.setdefault(entry.pack, []).append(entry)
    if unknown := sorted(by_pack.keys() - {one.pack for one in streams}):
        raise VaultRefused(
            f"the index of {snapshot.snap} names {unknown[0]}, which its manifest does not",
            site=snapshot.site,
            next_command=f"opsplay backups.verify {snapshot.site}",
        )
    return [
        Part(f"files-{n}", one, "pack", tuple(sorted(by_pack[one.pack], key=_place)))
        for n, one in enumerate(streams)
        if one.pack in by_pack
    ]


def _place(entry: Entry) -> tuple[str, str]:
    """Return where an entry stands in its archive: directory by directory."""
    folder, _, name = entry.path.rpartition("/")
    return folder, name


def _below(
    snapshot: Snapshot, entries: Sequence[Entry], paths: tuple[str, ...]
) -> tuple[Entry, ...]:
    """Return the entries of these files and directories."""
    if snapshot.index is None:
        raise InvalidInput(
            f"backup {snapshot.snap} has no index of files: it can only be restored as a whole"
        )
    known: Mapping[str, Entry] = {entry.path: entry for entry in entries}
    if missing := [path for path in paths if path not in known]:
        raise InvalidInput(
            f"backup {snapshot.snap} holds no {missing[0]}{_meant(missing[0], known)}",
            next_command=f"invoke backups {snapshot.site}",
        )
    prefixes = tuple(f"{path}/" for path in paths)
    return tuple(one for one in entries if one.path in paths or one.path.startswith(prefixes))


def _meant(path: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""


def _row(name: str, entry: Entry) -> str:
    return f"{name}\t{entry.sha256 or '-'}\t{entry.kind}\t{escaped(entry.path)}"
