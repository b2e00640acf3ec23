"""What a journal's store must do: keep rows in one chain, each batch in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias, cast

from opsplay.core.event import Event, EventKind
from opsplay.journal.chain import GENESIS

Row: TypeAlias = tuple[int, str, str, str, str, str, str, str]
"""sequence, run, at, kind, site, data, previous, hash: as they are kept."""


@dataclass(frozen=True)
class Head:
    """Where the chain ends, and the newest epoch of the run that wants to go on with it."""

    sequence: int = 0
    hash: str = GENESIS
    epoch: int = 0
    """Sequence of the run's newest `run_started` or `run_resumed`; 0 when it has none."""


Link: TypeAlias = Callable[[Head], list[Row]]
"""Returns the rows that follow on a head. Raises to have nothing written."""

Claim: TypeAlias = Callable[[Any], None]
"""Called with the store's cursor in the transaction, before anything is written. Raises to refuse."""


class Store(Protocol):
    """Where events are kept. Its errors are OpsplayErrors; safe for several threads."""

    def add(self, run: str, link: Link, claim: Claim | None = None) -> list[Row]:
        """Write what `link` returns in one transaction; return it once it is on disk."""
        ...

    def rows(
        self, run: str, after: int, kinds: Sequence[str], site: str = "", limit: int = 0
    ) -> list[Row]:
        """Return rows in order; `run`, `kinds` and `site` empty mean all of them.

        `limit`: only the first so many; 0: all.
        """
        ...

    def close(self) -> None:
        """Let go of the file or the connection."""
        ...


def event_of(row: Row) -> Event:
    """Return the event that a row keeps."""
    sequence, run, at, kind, site, data, previous, fingerprint = row
    moment = datetime.fromisoformat(at)
    known = cast("EventKind", kind)
    return Event(sequence, run, moment, known, site, json.loads(data), previous, fingerprint)
