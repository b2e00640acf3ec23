"""A request to erase a person, as the ledger keeps it. Pure: data, its text, and its limits.

A locked backup cannot be changed. What a person asked to have erased is therefore noted beside the
backups, and done again after each restore of a snapshot that may still hold it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from opsplay.core.errors import InvalidInput, UnreadableAnswer
from opsplay.core.snapshot import site_prefix

SCHEMA = 1
AT_MOST = 100
"""Rows that a request may mean, unless it says otherwise: `status=open` is no person."""
SKEW = timedelta(minutes=15)
"""How far the clocks of two controllers may be apart."""
NOTED_WITHIN = timedelta(days=90)
"""How long after its recording a request may still be carried out on the live site."""
_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,64}\Z", re.ASCII)
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}\Z", re.ASCII)
_LONGEST = 4096


@dataclass(frozen=True)
class Erasure:
    """One request: which rows of which table, and what becomes of them.

    Raises InvalidInput when made with anything that could mean something else in SQL.
    """

    id: str
    """Name that sorts by time: UTC time of recording and a random part."""
    site: str
    recorded_at: datetime
    asked_on: date
    """When the person asked."""
    asked_by: str
    """Reference of the request in the agency's own register; never the person's name."""
    table: str
    key_column: str
    key_value: str
    """What the column holds, to the byte, in the rows that are meant."""
    delete: bool
    columns: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    """Column → the text it gets; None: NULL, or nothing at all where NULL is not allowed."""
    at_most: int = AT_MOST
    """More rows than this are never touched: the request is wrong then."""
    after: tuple[str, ...] = ()
    """Names of the entries that the ledger held before: one that is gone is missed."""

    def __post_init__(self) -> None:
        if not _ID.match(self.id):
            raise InvalidInput(f"{self.id[:80]!r} is no name of a request")
        for name in (self.table, self.key_column, *self.columns):
            identifier(name)
        for text in (self.key_value, *(text for text in self.columns.values() if text)):
            _reasonable(text)
        if not self.key_value:
            raise InvalidInput(
                "the value to look for is empty: it would mean everybody without one"
            )
        if self.delete == bool(self.columns):
            raise InvalidInput("either the row is deleted, or some of its columns are overwritten")
        if self.at_most < 1:
            raise InvalidInput(f"at most {self.at_most} rows: a request means at least one")

    @property
    def what(self) -> str:
        """Return what is done, in words that hold nothing personal."""
        verb = "delete the row" if self.delete else f"overwrite {', '.join(self.columns)}"
        return f"{self.table}, by {self.key_column}: {verb}"


@dataclass(frozen=True)
class Applied:
    """The note that a request was carried out on the live site: snapshots begun later are clean."""

    id: str
    site: str
    request: str
    at: datetime
    after: tuple[str, ...] = ()


Entry = Erasure | Applied


def identifier(name: str) -> str:
    """Return the name of a table or column. Raises InvalidInput for what is not plainly one."""
    if not _IDENTIFIER.match(name):
        raise InvalidInput(
            f"{name[:80]!r} is no name of a table or column (letters, digits, _ and $; at most 64)"
        )
    return name


def _reasonable(text: str) -> None:
    if len(text) > _LONGEST or "\0" in text:
        raise InvalidInput(f"a value is at most {_LONGEST} characters long, and holds no NUL")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("a value is not readable as UTF-8") from error


def prefix(site: str) -> str:
    """Return the prefix of a site's ledger in its vault."""
    return f"{site_prefix(site)}erasures/"


def key(entry: Entry) -> str:
    """Return where an entry lies in the vault."""
    return f"{prefix(entry.site)}{entry.id}.json.age"


def name_of(stored_key: str) -> str:
    """Return the name of the entry under a key. Raises UnreadableAnswer for a stranger's object."""
    name = stored_key.rpartition("/")[2].removesuffix(".json.age")
    if not _ID.match(name) or not stored_key.endswith(".json.age"):
        raise UnreadableAnswer(f"{stored_key} is no entry of a ledger of erasures")
    return name


def due(entries: Iterable[Entry], snapshot_started: datetime) -> tuple[Erasure, ...]:
    """Return the requests that a snapshot begun then may not know of yet, oldest first.

    Someone who came back after their erasure is not erased again: later snapshots are left alone.
    """
    entries = tuple(entries)
    applied = {one.request: one.at for one in entries if isinstance(one, Applied)}
    requests = sorted((one for one in entries if isinstance(one, Erasure)), key=lambda one: one.id)
    return tuple(
        one
        for one in requests
        if snapshot_started <= max(one.recorded_at, applied.get(one.id, one.recorded_at)) + SKEW
    )


def missing(entries: Mapping[str, Entry], since: datetime | None = None) -> tuple[str, ...]:
    """Return the names of entries that others know of, and that are not there. Name → entry.

    Those older than `since`, when the oldest snapshot that matters began, have expired rightly: no
    snapshot needs them.
    """
    named = {name for one in entries.values() for name in one.after}
    if since is not None:
        named = {name for name in named if since <= recorded(name) + SKEW}
    carried_out = {
        one.request
        for one in entries.values()
        if isinstance(one, Applied) and (since is None or since <= one.at + SKEW)
    }
    return tuple(sorted((named | carried_out) - entries.keys()))


def recorded(name: str) -> datetime:
    """Return when an entry was made, as its name says."""
    return datetime.strptime(f"{name[:15]}+0000", "%Y%m%dT%H%M%S%z").astimezone(UTC)


def outlived(name: str, oldest: datetime) -> bool:
    """Return whether no snapshot needs an entry any more; `oldest`: when the oldest one began."""
    return recorded(name) + NOTED_WITHIN < oldest


def to_json(entry: Entry, sql: Iterable[str] = ()) -> bytes:
    """Return an entry's text, one value a line; `sql` is for a stranger without opsplay."""
    common = {"schema": SCHEMA, "id": entry.id, "site": entry.site, "after": list(entry.after)}
    if isinstance(entry, Applied):
        told: dict[str, Any] = {"kind": "applied", "request": entry.request, "at": _time(entry.at)}
    else:
        told = {
            "kind": "request",
            "recorded_at": _time(entry.recorded_at),
            "asked_on": entry.asked_on.isoformat(),
            "asked_by": entry.asked_by,
            "table": entry.table,
            "key_column": entry.key_column,
            "key_value": entry.key_value,
            "delete": entry.delete,
            "columns": dict(entry.columns),
            "at_most": entry.at_most,
            "sql": list(sql),
        }
    text = json.dumps(common | told, indent=1, sort_keys=True, ensure_ascii=True)
    return text.encode() + b"\n"


def from_json(text: bytes, where: str) -> Entry:
    """Return the entry of a text.

    Raises:
        UnreadableAnswer: it is none, or of a kind that this opsplay does not know.
    """
    try:
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise UnreadableAnswer(
                f"{where} has schema {data['schema']!r}; this opsplay reads schema {SCHEMA}",
                next_command="use a newer opsplay",
            )
        return _READERS[data["kind"]](data)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise UnreadableAnswer(f"{where} is no readable entry of the ledger: {error}") from error


def _request(data: Mapping[str, Any]) -> Erasure:
    columns = {str(name): None if to is None else str(to) for name, to in data["columns"].items()}
    return Erasure(
        id=_id(data["id"]),
        site=str(data["site"]),
        recorded_at=datetime.fromisoformat(data["recorded_at"]).astimezone(UTC),
        asked_on=date.fromisoformat(data["asked_on"]),
        asked_by=str(data["asked_by"]),
        table=str(data["table"]),
        key_column=str(data["key_column"]),
        key_value=str(data["key_value"]),
        delete=data["delete"] is True,
        columns=MappingProxyType(columns),
        at_most=int(data["at_most"]),
        after=tuple(map(_id, data["after"])),
    )


def _applied(data: Mapping[str, Any]) -> Applied:
    at = datetime.fromisoformat(data["at"]).astimezone(UTC)
    after = tuple(map(_id, data["after"]))
    return Applied(_id(data["id"]), str(data["site"]), _id(data["request"]), at, after)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Entry]] = {
    "request": _request,
    "applied": _applied,
}


def _id(text: str) -> str:
    if not _ID.match(text):
        raise ValueError(f"{text!r} is no name of an entry")
    return text


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
