"""The journal: masked, chained, fenced; on disk before `append` returns."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from opsplay.core.errors import Fenced, OpsplayError
from opsplay.core.event import Event, EventKind, Listener
from opsplay.journal.chain import canonical, digest, first_break
from opsplay.journal.rows import Claim, Head, Row, Store, event_of
from opsplay.journal.sqlite import SqliteStore
from opsplay.journal.summaries import RunSummary, summaries
from opsplay.kit.clock import Clock
from opsplay.kit.secret import Redactor

Entry: TypeAlias = tuple[EventKind, str, Mapping[str, Any]]
"""kind, site (empty for the whole run), data."""

EPOCHS: tuple[EventKind, ...] = ("run_started", "run_resumed")
"""Whoever wrote the newest of these is the one who carries the run out."""


_AT_ONCE = 500
"""Rows that a stream reads at a time."""


class Journal:
    """Append events, read them back, prove that nobody touched them. Safe for several threads.

    Whoever begins or resumes a run through a Journal holds the run's epoch by it: the sequence of
    that event. Once somebody else resumed the run, this Journal writes nothing to it any more.
    """

    def __init__(self, where: Path | Store, clock: Clock, redactor: Redactor | None = None) -> None:
        """Open or create the journal, in a file by default. Raises OpsplayError."""
        self.store: Store = SqliteStore(where) if isinstance(where, Path) else where
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._held: dict[str, int] = {}

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with each event from now on, after it is on disk."""
        self._listeners.append(listener)

    def append(
        self, run: str, kind: EventKind, site: str = "", data: Mapping[str, Any] | None = None
    ) -> Event:
        """Write one event, secrets masked, and return it once it is on disk. Raises Fenced."""
        return self.append_all(run, [(kind, site, data or {})])[0]

    def append_all(
        self, run: str, entries: Sequence[Entry], *, claim: Claim | None = None
    ) -> tuple[Event, ...]:
        """Write events in one transaction: all of them, or none.

        Listeners are called in order, once all are on disk. `claim` has its say in the same
        transaction. Raises Fenced when somebody else carries the run out by now.
        """
        if not entries:
            return ()
        masked = [(kind, site, self._written(data)) for kind, site, data in entries]
        with self._lock:
            rows = self.store.add(run, lambda head: self._linked(run, head, masked), claim)
            events = tuple(event_of(row) for row in rows)
            if begun := [event.sequence for event in events if event.kind in EPOCHS]:
                self._held[run] = begun[-1]
            for event in events:
                for listener in self._listeners:
                    listener(event)
        return events

    def _linked(
        self, run: str, head: Head, entries: Sequence[tuple[EventKind, str, str]]
    ) -> list[Row]:
        if entries[0][0] not in EPOCHS and self._held.get(run, head.epoch) < head.epoch:
            raise _fenced(run, self._held[run], head.epoch)
        rows: list[Row] = []
        previous, at = head.hash, self._clock.now()
        for sequence, (kind, site, payload) in enumerate(entries, start=head.sequence + 1):
            fingerprint = digest(previous, run, at, kind, site, payload)
            rows.append((sequence, run, at.isoformat(), kind, site, payload, previous, fingerprint))
            previous = fingerprint
        return rows

    def _written(self, data: Mapping[str, Any]) -> str:
        return canonical(self._masked(data) if self._redactor.knows_any else data)

    def _masked(self, value: Any) -> Any:
        # Before JSON escapes anything: a secret with a quote in it must still be recognised.
        match value:
            case str():
                return self._redactor.clean(value)
            case Mapping():
                return {str(key): self._masked(item) for key, item in value.items()}
            case list() | tuple():
                return [self._masked(item) for item in value]
            case _:
                return value

    def events(
        self, run: str = "", *, after: int = 0, kinds: Sequence[EventKind] = (), site: str = ""
    ) -> tuple[Event, ...]:
        """Return the events of one run, or of all, in order, from sequence `after` + 1 on.

        `kinds`: only these; all of them when empty. `site`: only what concerns this one.
        """
        return tuple(event_of(row) for row in self.store.rows(run, after, kinds, site))

    def stream(
        self, run: str = "", *, kinds: Sequence[EventKind] = (), at_once: int = _AT_ONCE
    ) -> Iterator[Event]:
        """Yield events in order, as `events`, but hold no more than `at_once` at a time."""
        after = 0
        while rows := self.store.rows(run, after, kinds, "", at_once):
            for row in rows:
                yield event_of(row)
            after = rows[-1][0]

    def epoch(self, run: str) -> int:
        """Return the newest epoch of a run: who resumed it last carries it out; 0 if unknown."""
        return max((event.sequence for event in self.events(run, kinds=EPOCHS)), default=0)

    def runs(self) -> tuple[RunSummary, ...]:
        """Return all runs, oldest first."""
        ends: tuple[EventKind, ...] = ("run_started", "run_finished")
        return summaries(self.stream(kinds=ends, at_once=20))

    def resolve(self, name: str) -> str:
        """Return the run that `name` means: an id, the start of one, or `last`.

        Raises OpsplayError when no run, or more than one, fits.
        """
        known = [summary.run for summary in self.runs()]
        found = known[-1:] if name == "last" else [run for run in known if run.startswith(name)]
        if len(found) != 1:
            reason = "is not known" if not found else "fits more than one run"
            raise OpsplayError(f"run {name!r} {reason}", next_command="invoke logs")
        return found[0]

    def verify(self) -> Event | None:
        """Return the first event that was edited, moved or follows a removed one; None if sound."""
        return first_break(self.events())

    def close(self) -> None:
        """Close the file or the connection."""
        with self._lock:
            self.store.close()


def open_journal(where: str | Path, clock: Clock, redactor: Redactor | None = None) -> Journal:
    """Open or create the journal at `where`: a `postgresql://` URL, or a file.

    Raises OpsplayError.
    """
    if not is_url(where):
        return Journal(Path(where), clock, redactor)
    from opsplay.journal.postgres import PostgresStore

    return Journal(PostgresStore(str(where), clock), clock, redactor)


def is_url(where: str | Path) -> bool:
    """Return whether a journal is in a database, not in a file."""
    return isinstance(where, str) and where.startswith(("postgresql://", "postgres://"))


def _fenced(run: str, held: int, newest: int) -> Fenced:
    return Fenced(
        f"run {run} was taken over by another process (epoch {newest}; this one holds {held})",
        state="this process writes nothing more and begins nothing more",
        next_command=f"invoke logs {run}",
    )
