"""The manifest of a snapshot: what one backup holds, where each part is, and its proofs.

Pure: dataclasses and their JSON. The text is canonical (sorted keys, one value a line, ASCII), so
that its SHA-256 can be chained and a person can read it with `sed` and `awk` alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from types import MappingProxyType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from opsplay.core.errors import UnreadableAnswer

SCHEMA = 1
T = TypeVar("T")


@dataclass(frozen=True)
class Segment:
    """One object in the vault: a piece of a stream, encrypted."""

    key: str
    bytes: int
    sha256: str
    """Hexadecimal, of the object as it is stored."""
    version_id: str = ""


@dataclass(frozen=True)
class Stream:
    """One thing that was saved: concatenate the segments, decrypt, decompress."""

    name: str
    """`database` or `files`."""
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

    @property
    def stored_bytes(self) -> int:
        """Return how many bytes the vault holds for this stream."""
        return sum(segment.bytes for segment in self.segments)


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

    Left out until they exist, and then added without a new schema number: `index`, `deleted_list`,
    `change_ratio` (increments), `consistency` (order marks), `verified` (drills).
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
    restore_order: tuple[str, ...]
    """Names of streams: what comes back first."""
    previous_snap_sha256: str
    """SHA-256 of the manifest sealed before this one; empty for the first."""
    label: str = ""
    attempt: int = 1
    crypto: Literal["age"] = "age"
    base: tuple[str, ...] = ()
    """Snapshots whose parts are needed as well; empty for a full one."""
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
        """Return the segments of all streams, in order."""
        return tuple(segment for stream in self.streams for segment in stream.segments)

    @property
    def stored_bytes(self) -> int:
        """Return how many bytes the vault holds, the manifest left out."""
        return sum(segment.bytes for segment in self.segments)

    def stream(self, name: str) -> Stream | None:
        """Return the stream of this name, or None."""
        return next((stream for stream in self.streams if stream.name == name), None)


def site_prefix(site: str) -> str:
    """Return the prefix of everything a vault holds for a site."""
    return f"v1/{site}/"


def to_json(snapshot: Snapshot) -> bytes:
    """Return the canonical text of the manifest."""
    text = json.dumps(_plain(snapshot), indent=1, sort_keys=True, ensure_ascii=True)
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
    return _read(Snapshot, data, where)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case tuple():
            return [_plain(one) for one in value]
        case Mapping():
            return dict(value)
        case _ if is_dataclass(value):
            return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        case _:
            return value


def _read(kind: type[T], data: Any, where: str) -> T:
    """Return `data` as a value of `kind`, or raise with the path of what is wrong."""
    if is_dataclass(kind) and isinstance(data, dict):
        return _read_fields(kind, data, where)
    if kind is datetime and isinstance(data, str):
        return _read_time(data, where)  # type: ignore[return-value]  # T is datetime here
    parts, arguments = get_origin(kind), get_args(kind)
    if parts is tuple and isinstance(data, list):
        items = enumerate(data)
        return tuple(_read(arguments[0], one, f"{where}[{n}]") for n, one in items)  # type: ignore[return-value]
    if parts is Mapping and isinstance(data, dict):
        read = {key: _read(arguments[1], one, f"{where}.{key}") for key, one in data.items()}
        return MappingProxyType(read)  # type: ignore[return-value]
    if _fits(kind, data):
        return data  # type: ignore[no-any-return]
    raise UnreadableAnswer(f"{where}: {data!r} is not what belongs here")


def _fits(kind: Any, data: Any) -> bool:
    if get_origin(kind) is Literal:
        return data in get_args(kind)
    if get_origin(kind) is UnionType:
        return any(_fits(one, data) for one in get_args(kind))
    return type(data) is kind


def _read_fields(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    known = fields(kind)  # type: ignore[arg-type]  # the caller made sure that it is a dataclass
    missing = [one.name for one in known if one.name not in data]
    if missing:
        raise UnreadableAnswer(f"{where}: field `{missing[0]}` is missing")
    return kind(
        **{one.name: _read(hints[one.name], data[one.name], f"{where}.{one.name}") for one in known}
    )


def _read_time(text: str, where: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise UnreadableAnswer(f"{where}: {text!r} is not a time") from error
