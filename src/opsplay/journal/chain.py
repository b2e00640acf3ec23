"""The hash chain: each event's hash covers the event and, through `previous`, all before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from opsplay.core.event import Event

GENESIS = "0" * 64
"""`previous` of the first event."""


def canonical(data: Mapping[str, Any]) -> str:
    """Return the one JSON text of `data`: sorted keys, no spaces, UTF-8 as it is."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict)


def digest(previous: str, run: str, at: datetime, kind: str, site: str, payload: str) -> str:
    """Return the hash of an event as 64 hexadecimal digits."""
    parts = json.dumps([previous, run, at.isoformat(), kind, site, payload], ensure_ascii=False)
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()


def first_break(events: Iterable[Event]) -> Event | None:
    """Return the first event that does not follow from the one before it, or None.

    `events` must be the whole journal in order: a missing event breaks the chain as an edited one.
    """
    previous = GENESIS
    for sequence, event in enumerate(events, start=1):
        expected = digest(
            previous, event.run, event.at, event.kind, event.site, canonical(event.data)
        )
        if (event.sequence, event.previous, event.hash) != (sequence, previous, expected):
            return event
        previous = event.hash
    return None
