"""The journal's rows in one SQLite file: one writer at a time, one fsync a batch."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from opsplay.core.errors import OpsplayError
from opsplay.journal.rows import Claim, Head, Link, Row

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY, run TEXT NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL,
    site TEXT NOT NULL, data TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_run ON events (run, sequence);
CREATE INDEX IF NOT EXISTS events_by_site ON events (site, run, sequence);
CREATE INDEX IF NOT EXISTS events_by_epoch ON events (run, sequence)
    WHERE kind IN ('run_started', 'run_resumed');
CREATE TRIGGER IF NOT EXISTS events_are_not_edited BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS events_are_not_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""

_HEAD = "SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1"
_EPOCH = """
SELECT sequence FROM events WHERE run = ? AND kind IN ('run_started', 'run_resumed')
ORDER BY sequence DESC LIMIT 1
"""


class SqliteStore:
    """Rows in a file. Safe for several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises OpsplayError when it cannot be."""
        self.path = path
        self._lock = threading.RLock()
        with self._translated("opened"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            path.chmod(0o600)

    def add(self, run: str, link: Link, claim: Claim | None = None) -> list[Row]:
        with self._lock, self._translated("written"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if claim is not None:
                    claim(self._db)
                rows = link(self._head(run))
                self._db.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)", rows)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        return rows

    def _head(self, run: str) -> Head:
        last = self._db.execute(_HEAD).fetchone()
        newest = self._db.execute(_EPOCH, (run,)).fetchone()
        return Head(last[0], last[1], newest[0] if newest else 0) if last else Head()

    def rows(
        self, run: str, after: int, kinds: Sequence[str], site: str = "", limit: int = 0
    ) -> list[Row]:
        named = {name: value for name, value in (("run", run), ("site", site)) if value}
        where, values = "sequence > ?", [after, *named.values(), *kinds]
        where += "".join(f" AND {name} = ?" for name in named)
        where += f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        most = f" LIMIT {limit:d}" if limit else ""
        with self._lock, self._translated("read"):
            return self._db.execute(
                f"SELECT * FROM events WHERE {where} ORDER BY sequence{most}",  # noqa: S608 - marks
                values,
            ).fetchall()

    def close(self) -> None:
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
