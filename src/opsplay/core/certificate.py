"""The certificate of a restore drill: what was restored, measured and found, and the verdict.

Pure. Its JSON is canonical (sorted keys, one value a line, ASCII), so that a signature over it can
be checked with common tools, and a person can read it without any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from opsplay.kit.wording import about

SCHEMA = 1
LEVEL = 4
"""Of the levels of verification: restored and started elsewhere."""
_SECONDS = {"m": 60, "h": 3600, "d": 86400}

Verdict: TypeAlias = Literal["SUCCESSFUL", "FAILED", "TIMED_OUT"]
CheckName: TypeAlias = Literal[
    "seal", "files", "tables", "last order", "last post", "start", "pages", "no mail"
]
Status: TypeAlias = Literal["restored", "failed", "timed out"]


@dataclass(frozen=True)
class Told:
    """One sentence, as data: it can be said in other languages (`reports.certificate_words`)."""

    code: str
    """A key of `WORDS`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What stands in its places; `measured` and `promised` are seconds."""

    def __str__(self) -> str:
        return say(self, WORDS, about)

    @property
    def plain(self) -> Mapping[str, Any]:
        """Return it as JSON-ready data, with the sentence itself."""
        return {"code": self.code, "values": dict(self.values), "text": str(self)}


def told(code: str, **values: object) -> Told:
    """Return a sentence. Raises KeyError for one that nobody wrote."""
    made = Told(code, {name: str(value) for name, value in values.items()})
    str(made)
    return made


def say(sentence: Told, words: Mapping[str, str], spoken: Callable[[float], str]) -> str:
    """Return a sentence in the language of `words`; `spoken` says lengths of time."""
    values = {
        name: spoken(float(value)) if name in _TIMES else value
        for name, value in sentence.values.items()
    }
    return words[sentence.code].format_map(values)


_TIMES = frozenset({"measured", "promised"})

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "boot_error": "the CMS does not start: {error}",
        "error": "{error}",
        "file_differs": "{path} is not what was saved",
        "file_missing": "{path} is missing",
        "file_unread": "{path} could not be read when it was to be saved: it is in no backup",
        "files_compared": "{count} files compared by SHA-256",
        "files_whole": "{count} files, proved as a whole by the SHA-256 of their archive",
        "late": "back after {measured}, promised within {promised}",
        "more": "and {count} more like these",
        "not_asked": "could not be looked at: {error}",
        "not_tried": "not looked at: the restore did not come so far",
        "damage": "{key} {what}",
        "drill_host": "the drill environment on {host}",
        "old": "the data was {measured} old, promised at most {promised}",
        "order_missing": "order {id} of {at} is missing (the last one is {found})",
        "order_there": "order {id} of {at} is there",
        "page_wrong": "page {complaint}",
        "pages_seen": "{count} looked at, slowest {seconds} s",
        "post_missing": "post {id} of {at} is missing (the last one is {found})",
        "post_there": "post {id} of {at} is there",
        "safe": "the restored site sends no mail and calls nobody",
        "sealed": "the manifest is signed by a key that is trusted here",
        "seal_unknown": "no key is trusted here, so that the manifest's signature proves nothing",
        "seal_missing": "the manifest is not signed by a key that is trusted here",
        "scratch": "a scratch environment on {host}",
        "scratch_alone": "a scratch environment on {host}, without a network",
        "started": "version {version}, {modules} modules, PHP {php}",
        "table_missing": "table {table} is missing ({saved} rows)",
        "table_rows": "table {table} has {found} of {saved} rows",
        "tables_compared": "{tables} tables compared, {rows} rows",
        "tables_uncounted": "{tables} tables; the backup counted no rows to compare them with",
        "unsafe": "the restored site is no safe copy: it may send mail",
        "wrong_schema": "database schema {found} in place of {wanted}",
        "wrong_version": "version {found} in place of {saved}",
    }
)
"""Every sentence of a certificate, in English."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: CheckName
    good: bool
    told: Told
    """What was found, in one line."""
    wrong: tuple[Told, ...] = ()
    """Each thing that is missing or differs; empty when it is good."""


@dataclass(frozen=True)
class Promise:
    """A time that was measured, beside the time that the client was promised."""

    measured: float
    """Seconds."""
    promised: float | None
    """Seconds; None: nothing was promised."""

    @property
    def kept(self) -> bool | None:
        """Return whether the promise was kept; None where there is none."""
        return None if self.promised is None else self.measured <= self.promised

    @property
    def plain(self) -> Mapping[str, Any]:
        """Return it as JSON-ready data."""
        return {"measured": self.measured, "promised": self.promised, "kept": self.kept}


@dataclass(frozen=True)
class Restoration:
    """How bringing the snapshot back went; that alone proves nothing about what came back."""

    status: Status
    seconds: float
    """From its start to the site's first good page; looking does not count."""
    parts: tuple[tuple[str, float], ...]
    """What that time went into, in order: seconds of each part."""
    bytes: int
    """Fetched from the storage."""
    error: str = ""


@dataclass(frozen=True)
class Proved:
    """Which snapshot was tried."""

    snap: str
    kind: str
    environment: str
    """Where it was taken from."""
    started_at: datetime
    sealed_at: datetime
    manifest: str
    """Key in the vault."""
    manifest_sha256: str
    label: str = ""
    cms: str = ""
    version: str = ""
    """Of the CMS, as the manifest says."""
    url: str = ""


@dataclass(frozen=True)
class Certificate:
    """What a drill found. The verdict and the restore's status are two things."""

    site: str
    client: str
    language: str
    run: str
    tool_version: str
    began_at: datetime
    ended_at: datetime
    due_at: datetime
    """When the drill was due by its schedule, else when it began: what the data's age is told at."""
    place: Told
    """Where it was restored."""
    snapshot: Proved
    restore: Restoration
    checks: tuple[Check, ...]
    rto: Promise
    """Until the site was back (recovery time)."""
    rpo: Promise
    """Age of the data that came back (recovery point)."""
    verdict: Verdict
    reasons: tuple[Told, ...]
    """Why the verdict is not SUCCESSFUL; empty when it is."""
    watermarks: Mapping[str, str] = field(default_factory=dict)
    """How far the restored site is: orders, customers, posts; without the rows of tables."""
    level: int = LEVEL
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        """Return where it lies in the vault, beside the snapshot."""
        folder = self.snapshot.manifest.rpartition("/snap/")[0]
        return f"{folder}/verify/{self.name}.json"

    @property
    def name(self) -> str:
        """Return its file name, without an ending."""
        return f"{self.snapshot.snap}-L{self.level}-{self.began_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def verdict_of(
    status: Status, checks: Iterable[Check], rto: Promise, rpo: Promise, errors: Iterable[Told] = ()
) -> tuple[Verdict, tuple[Told, ...]]:
    """Return the verdict and why it is not SUCCESSFUL.

    A restore that went well proves nothing alone: everything looked at must be right, and what the
    client was promised must have been kept.
    """
    reasons = list(errors)
    reasons += [one for check in checks if not check.good for one in check.wrong or (check.told,)]
    if status == "restored" and rto.kept is False:
        reasons.append(told("late", measured=rto.measured, promised=rto.promised))
    if rpo.kept is False:
        reasons.append(told("old", measured=rpo.measured, promised=rpo.promised))
    if status == "timed out":
        return "TIMED_OUT", tuple(reasons)
    return ("FAILED" if reasons or status != "restored" else "SUCCESSFUL"), tuple(reasons)


def seconds_of(duration: str) -> float:
    """Return how many seconds a duration such as `30m`, `4h` or `2d` has.

    >>> [seconds_of(one) for one in ("30m", "4h", "2d")]
    [1800.0, 14400.0, 172800.0]
    """
    found = re.fullmatch(r"([1-9][0-9]*)([mhd])", duration)
    if found is None:
        msg = f"{duration!r} is not a time such as 30m, 4h or 2d"
        raise ValueError(msg)
    return float(found[1]) * _SECONDS[found[2]]


def promised(promises: Mapping[str, Any], name: str) -> float | None:
    """Return the seconds of a promise in the inventory, None where the client has none."""
    return seconds_of(str(promises[name])) if name in promises else None


def to_json(certificate: Certificate) -> bytes:
    """Return the canonical text."""
    text = json.dumps(_plain(certificate), indent=1, sort_keys=True, ensure_ascii=True)
    return text.encode() + b"\n"


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case Told() | Promise():
            return value.plain
        case tuple():
            return [_plain(one) for one in value]
        case Mapping():
            return dict(value)
        case _ if is_dataclass(value):
            return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        case _:
            return value
