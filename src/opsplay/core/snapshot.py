"""The manifest of a snapshot: what one backup holds, where each part is, and its proofs.

Pure: dataclasses and their JSON. The text is canonical (sorted keys, one value a line, ASCII), so
that its SHA-256 can be chained and a person can read it with `sed` and `awk` alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.strict_json import plain, read

SCHEMA = 1


@dataclass(frozen=True)
class Segment:
    """One object in the vault: a piece of a stream, encrypted."""

    key: str
    bytes: int
    sha256: str
    """Hexadecimal, of the object as it is stored."""
    version_id: str = ""
    retain_until: datetime | None = None
    """Until when the storage refuses to delete it; None: not locked."""
    md5: str = ""
    """Hexadecimal; only where the storage tells this in place of SHA-256 (`Vault.checksum`)."""


@dataclass(frozen=True)
class Stream:
    """One thing that was saved: concatenate the segments, decrypt, decompress."""

    name: str
    """`database`, or `files-NN`: a pack, which is a tar archive of some of the files."""
    type: Literal["db", "files"]
    compression: Literal["zstd", "gzip", "none"]
    raw_bytes: int
    raw_sha256: str
    """Of the plain dump or tar archive, as hashed on the host while it was made."""
    exit_codes: Mapping[str, int]
    """Of every stage of the pipe, all zero: `src`, `tee`, `comp`, `enc`."""
    trailer_ok: bool | None
    """Whether the dump ended with its own last line; None for files."""
    segments: tuple[Segment, ...]
    snap: str = ""
    """The earlier snapshot that made it, whose pack is needed still; empty: made by this one."""
    seconds: float = 0.0
    """How long it took to save."""

    @property
    def stored_bytes(self) -> int:
        """Return how many bytes the vault holds for this stream."""
        return sum(segment.bytes for segment in self.segments)

    @property
    def part(self) -> str:
        """Return what a playbook calls it: `database` or `files`."""
        return "database" if self.type == "db" else "files"

    @property
    def pack(self) -> str:
        """Return the name that the segments' keys share, as the index names a pack."""
        return self.segments[0].key.rpartition("/")[2].rpartition(".")[0] if self.segments else ""


@dataclass(frozen=True)
class FileIndex:
    """Where the list of all files of a snapshot lies (`core.index` is its form), and its sums."""

    segment: Segment
    """gzip, then age; one object."""
    raw_sha256: str
    """Of the plain text."""
    files: int
    """Entries, directories and links counted as well."""
    bytes: int
    """Of all files, as they are on the host."""
    added: int
    changed: int
    removed: int
    """Since the snapshot before; a full backup has no such: `added` counts everything."""


@dataclass(frozen=True)
class Consistency:
    """What was seen of a living site while it was saved."""

    surveyed_at: datetime
    """When the files were listed."""
    finished_at: datetime
    """When the last of them was packed."""
    changing: tuple[str, ...] = ()
    """Paths that changed while they were packed; at most 100 of each are named."""
    vanished: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    code_changed: tuple[str, ...] = ()
    """Paths of code that is new, or differs from the snapshot before."""
    watermarks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """How far the shop was just before the dump: `orders`, `last_order_id`, `last_order_at`,
    `customers` and what else the driver tells."""


@dataclass(frozen=True)
class HostFacts:
    """What made the backup."""

    address: str
    os: str
    tools: Mapping[str, str]
    """Version line of each tool by its name; empty text: not found."""


@dataclass(frozen=True)
class CmsFacts:
    """Which installation it is. `version` is empty when nobody had read it."""

    name: str
    url: str
    version: str = ""


@dataclass(frozen=True)
class Source:
    """Which directory was packed."""

    root: str
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipient:
    """Who can decrypt."""

    age_recipient: str
    name: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One sealed backup of one environment of a site.

    A manifest names all that is needed to restore it, packs of earlier snapshots included: nothing
    has to be read to know what it stands on. Fields that a manifest of an earlier opsplay lacks
    have their defaults; schema 1 covers all of them.
    """

    site: str
    environment: str
    snap: str
    """Name that sorts by time: UTC time of the start and the run's own part."""
    chain: str
    """Month, such as `2026-11`."""
    kind: Literal["full", "incr"]
    run_id: str
    tool_version: str
    started_at: datetime
    sealed_at: datetime
    host: HostFacts
    cms: CmsFacts
    source: Source
    recipients: tuple[Recipient, ...]
    streams: tuple[Stream, ...]
    """All that a restore needs; those with a `snap` were made by an earlier snapshot."""
    restore_order: tuple[str, ...]
    """Names of streams: what comes back first."""
    previous_snap_sha256: str
    """SHA-256 of the manifest sealed before this one; empty for the first."""
    label: str = ""
    attempt: int = 1
    crypto: Literal["age"] = "age"
    base: tuple[str, ...] = ()
    """Snapshots whose parts are needed as well; empty for a full one."""
    index: FileIndex | None = None
    """None: without files."""
    consistency: Consistency | None = None
    suspect: tuple[str, ...] = ()
    """Why this looks like damage (ransomware, a wiped site), in words; empty: it does not."""
    plan: str = ""
    """The maintenance plan that the locks were chosen by."""
    full_because: str = ""
    """Why every file was saved anew; empty for an increment."""
    joins: tuple[str, ...] = ()
    """SHA-256 of further manifests that nothing followed yet: two environments were sealed at the
    same time, neither knew of the other, and from here on they are one chain again."""
    schema: int = field(default=SCHEMA)

    @property
    def key(self) -> str:
        """Return where the manifest lies in the vault."""
        return f"{self.folder}/snap/{self.snap}.json"

    @property
    def folder(self) -> str:
        """Return the prefix of everything in this snapshot's chain."""
        return f"{site_prefix(self.site)}{self.chain}"

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Return the segments of all streams, in order, and the index."""
        found = tuple(segment for stream in self.streams for segment in stream.segments)
        return (*found, self.index.segment) if self.index else found

    @property
    def stored_bytes(self) -> int:
        """Return how many bytes a restore needs, the manifest left out."""
        return sum(segment.bytes for segment in self.segments)

    @property
    def added_bytes(self) -> int:
        """Return how many bytes this snapshot itself put into the vault."""
        own = sum(stream.stored_bytes for stream in self.streams if not stream.snap)
        return own + (self.index.segment.bytes if self.index else 0)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return what it holds: `database`, `files` or both."""
        held = {stream.part for stream in self.streams} | ({"files"} if self.index else set())
        return tuple(part for part in ("database", "files") if part in held)

    @property
    def follows(self) -> tuple[str, ...]:
        """Return the SHA-256 of each manifest that this one vouches for; none: the first of all."""
        return tuple(one for one in (self.previous_snap_sha256, *self.joins) if one)

    def stream(self, name: str) -> Stream | None:
        """Return the stream of this name, or None."""
        return next((stream for stream in self.streams if stream.name == name), None)


def site_prefix(site: str) -> str:
    """Return the prefix of everything a vault holds for a site."""
    return f"v1/{site}/"


def to_json(snapshot: Snapshot) -> bytes:
    """Return the canonical text of the manifest."""
    text = json.dumps(plain(snapshot), indent=1, sort_keys=True, ensure_ascii=True)
    return text.encode() + b"\n"


def sha256(snapshot: Snapshot) -> str:
    """Return the hexadecimal SHA-256 of the canonical text, for the chain."""
    return hashlib.sha256(to_json(snapshot)).hexdigest()


def from_json(text: bytes, where: str = "manifest") -> Snapshot:
    """Return the manifest that the text holds; fields that we do not know yet are passed over.

    Raises:
        UnreadableAnswer: not JSON, another schema, or a field is missing or of the wrong type;
            `where` and the field are named.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UnreadableAnswer(f"{where} is not readable JSON: {error}") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise UnreadableAnswer(
            f"{where} has schema {schema!r}; this opsplay reads schema {SCHEMA}",
            next_command="restore by the README.txt beside it, or use a newer opsplay",
        )
    return read(Snapshot, data, where)
