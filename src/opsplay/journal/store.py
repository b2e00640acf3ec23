"""The journal in SQLite: one file, one writer at a time, on disk before `append` returns."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from opsplay.core.errors import OpsplayError
from opsplay.core.event import Event, EventKind, Listener
from opsplay.journal.chain import GENESIS, canonical, digest, first_break
from opsplay.kit.clock import Clock
from opsplay.kit.secret import Redactor

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY, run TEXT NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL,
    site TEXT NOT NULL, data TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_run ON events (run, sequence);
CREATE TRIGGER IF NOT EXISTS events_are_not_edited BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS events_are_not_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


@dataclass(frozen=True)
class RunSummary:
    """One run as the list of runs shows it."""

    run: str
    started: datetime
    finished: datetime | None
    playbook: str
    sites: tuple[str, ...]
    state: str
    exit_status: int | None
    """None while the run is under way or was cut short."""


class Journal:
    """Append events, read them back, prove that nobody touched them. Safe for several threads."""

    def __init__(self, path: Path, clock: Clock, redactor: Redactor | None = None) -> None:
        """Open or create the journal at `path`. Raises OpsplayError when it cannot be."""
        self.path = path
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        with self._translated("opened"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            path.chmod(0o600)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with each event from now on, after it is on disk."""
        self._listeners.append(listener)

    def append(
        self, run: str, kind: EventKind, site: str = "", data: Mapping[str, Any] | None = None
    ) -> Event:
        """Write one event, secrets masked, and return it once it is on disk."""
        payload = canonical(self._masked(data or {}))
        with self._lock:
            with self._translated("written"):
                event = self._insert(run, kind, site, payload)
            for listener in self._listeners:
                listener(event)
        return event

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

    def _insert(self, run: str, kind: EventKind, site: str, payload: str) -> Event:
        at = self._clock.now()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            last = self._db.execute(
                "SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1"
            ).fetchone() or (0, GENESIS)
            sequence, previous = last[0] + 1, last[1]
            fingerprint = digest(previous, run, at, kind, site, payload)
            self._db.execute(
                "INSERT INTO events VALUES (?,?,?,?,?,?,?,?)",
                (sequence, run, at.isoformat(), kind, site, payload, previous, fingerprint),
            )
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return Event(sequence, run, at, kind, site, json.loads(payload), previous, fingerprint)

    def events(self, run: str = "", *, after: int = 0) -> tuple[Event, ...]:
        """Return the events of one run, or of all, in order, from sequence `after` + 1 on."""
        where = "WHERE sequence > ?" + (" AND run = ?" if run else "")
        values: list[int | str] = [after, run] if run else [after]
        with self._lock, self._translated("read"):
            rows = self._db.execute(
                f"SELECT * FROM events {where} ORDER BY sequence",  # noqa: S608 - no outside text
                values,
            ).fetchall()
        return tuple(_event(row) for row in rows)

    def runs(self) -> tuple[RunSummary, ...]:
        """Return all runs, oldest first."""
        with self._lock, self._translated("read"):
            rows = self._db.execute(
                "SELECT * FROM events WHERE kind IN ('run_started', 'run_finished')"
                " ORDER BY sequence"
            ).fetchall()
        return _summaries([_event(row) for row in rows])

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
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OpsplayError(
                f"the journal {self.path} could not be {done}: {error}",
                state="nothing was done after the last journalled act",
                next_command=f"df -h {self.path.parent}; ls -l {self.path}",
            ) from error


def _event(row: tuple[Any, ...]) -> Event:
    sequence, run, at, kind, site, data, previous, fingerprint = row
    moment = datetime.fromisoformat(at)
    return Event(
        sequence,
        run,
        moment,
        cast("EventKind", kind),
        site,
        json.loads(data),
        previous,
        fingerprint,
    )


def _summaries(events: list[Event]) -> tuple[RunSummary, ...]:
    ends = {event.run: event for event in events if event.kind == "run_finished"}
    starts = {event.run: event for event in reversed(events) if event.kind == "run_started"}
    return tuple(
        RunSummary(
            run=run,
            started=start.at,
            finished=ends[run].at if run in ends else None,
            playbook=str(start.data.get("playbook", "")),
            sites=tuple(start.data.get("sites", ())),
            state=str(ends[run].data.get("state", "")) if run in ends else "unfinished",
            exit_status=int(ends[run].data["exit_status"]) if run in ends else None,
        )
        for run, start in sorted(starts.items())
    )
