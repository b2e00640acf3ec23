"""The journal's rows in PostgreSQL, for workers on several machines: one chain for all of them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from opsplay.core.errors import OpsplayError
from opsplay.journal.rows import Claim, Head, Link, Row
from opsplay.kit.clock import Clock

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

T = TypeVar("T")

SCHEMA = "opsplay"
"""The schema of the journal's tables; the queue has one of its own, which may be dropped."""
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between attempts to reach a server that went away: a restart takes less than that."""
_ASLEEP = 5000
"""Milliseconds after which the server ends a transaction whose process fell asleep in it: that one
would keep everybody else from writing. Should it wake up, it writes anew, or is fenced."""
_LOCK = 0x6F70_7370_6C61_79
"""The advisory lock of who appends. The chain has one end, so there is one writer at a time."""

_TABLES = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.events (
        sequence bigint PRIMARY KEY, run text NOT NULL, at text NOT NULL, kind text NOT NULL,
        site text NOT NULL, data text NOT NULL, previous text NOT NULL, hash text NOT NULL)""",
    f"CREATE INDEX IF NOT EXISTS events_by_run ON {SCHEMA}.events (run, sequence)",
    f"CREATE INDEX IF NOT EXISTS events_by_site ON {SCHEMA}.events (site, run, sequence)",
    f"CREATE INDEX IF NOT EXISTS events_by_kind ON {SCHEMA}.events (kind, sequence)",
    f"""CREATE INDEX IF NOT EXISTS events_by_epoch ON {SCHEMA}.events (run, sequence) INCLUDE (kind)
        WHERE kind IN ('run_started', 'run_resumed', 'run_finished')""",
    f"""CREATE OR REPLACE FUNCTION {SCHEMA}.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$""",
    f"""CREATE OR REPLACE TRIGGER events_are_not_edited BEFORE UPDATE OR DELETE OR TRUNCATE
        ON {SCHEMA}.events FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.refuse()""",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.workers (
        id text PRIMARY KEY, name text NOT NULL, host text NOT NULL, pid integer NOT NULL,
        since timestamptz NOT NULL DEFAULT now(), seen timestamptz NOT NULL DEFAULT now(),
        patience interval NOT NULL, serves boolean NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.leases (
        site text PRIMARY KEY, run text NOT NULL, holder text NOT NULL, submitted boolean NOT NULL,
        since timestamptz NOT NULL DEFAULT now())""",
)
_HEAD = f"""
SELECT last.sequence, last.hash, (
    SELECT max(sequence) FROM {SCHEMA}.events
    WHERE run = %s AND kind IN ('run_started', 'run_resumed'))
FROM {SCHEMA}.events last ORDER BY last.sequence DESC LIMIT 1
"""  # noqa: S608
_ADD = f"INSERT INTO {SCHEMA}.events VALUES (%s,%s,%s,%s,%s,%s,%s,%s)"  # noqa: S608


def driver() -> ModuleType:
    """Return psycopg. Raises OpsplayError when it is not installed: it comes with an extra."""
    try:
        import psycopg
    except ImportError as error:
        raise OpsplayError(
            "a journal in PostgreSQL needs psycopg, which is not installed",
            state="nothing was done",
            next_command="pip install 'opsplay[workers]'",
        ) from error
    return psycopg


class PostgresStore:
    """Rows in a database. Safe for several threads, processes and machines."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Connect, and make the tables where there are none. Raises OpsplayError."""
        self.url = url
        self.where = shown(url)
        self._clock = clock
        self._lock = threading.RLock()
        self._connection: Connection[Any] | None = None
        self.transact(_make_tables)

    def add(self, run: str, link: Link, claim: Claim | None = None) -> list[Row]:
        rows: list[Row] = []

        def write(cursor: Cursor[Any]) -> list[Row]:
            nonlocal rows
            head = _locked_head(cursor, run)
            # The line may have been cut after the server had committed: written twice is wrong too.
            if rows and _is_there(cursor, rows[-1]):
                return rows
            if claim is not None:
                claim(cursor)
            rows = link(head)
            cursor.executemany(_ADD, rows)
            return rows

        return self.transact(write)

    def rows(
        self, run: str, after: int, kinds: Sequence[str], site: str = "", limit: int = 0
    ) -> list[Row]:
        named = {name: value for name, value in (("run", run), ("site", site)) if value}
        where, values = "sequence > %s", [after, *named.values(), *kinds]
        where += "".join(f" AND {name} = %s" for name in named)
        where += f" AND kind IN ({','.join(['%s'] * len(kinds))})" if kinds else ""
        most = f" LIMIT {limit:d}" if limit else ""
        query = f"SELECT * FROM {SCHEMA}.events WHERE {where} ORDER BY sequence{most}"  # noqa: S608
        return self.transact(lambda cursor: cursor.execute(query, values).fetchall())

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def transact(self, work: Callable[[Cursor[Any]], T]) -> T:
        """Return what `work` returns in one transaction; done again when the server went away.

        Raises OpsplayError when it stays away, or refuses.
        """
        psycopg = driver()
        for pause in (*_PAUSES, None):
            with self._lock, self._translated(psycopg):
                try:
                    connection = self._connected(psycopg)
                    with connection.transaction(), connection.cursor() as cursor:
                        return work(cursor)
                except psycopg.Error:
                    if pause is None or not self._lost():
                        raise
            self._clock.sleep(pause)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _connected(self, psycopg: ModuleType) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=10,
                keepalives_idle=20,
                tcp_user_timeout=30_000,
                application_name="opsplay",
                options=f"-c idle_in_transaction_session_timeout={_ASLEEP}",
            )
            # Who only looks into a journal leaves it to the end of the process.
            weakref.finalize(self, self._connection.close)
        return self._connection

    def _lost(self) -> bool:
        # Who never got through has a wrong address rather than a server that restarts.
        return self._connection is not None and self._connection.closed

    @contextmanager
    def _translated(self, psycopg: ModuleType) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, OSError) as error:
            raise OpsplayError(
                f"the journal {self.where} could not be used: {str(error).strip()}",
                state="nothing was done after the last journalled act",
                next_command=f"psql {self.where} -c 'SELECT 1'",
            ) from error


def shown(url: str) -> str:
    """Return a database's address without its password."""
    from psycopg.conninfo import conninfo_to_dict

    known = conninfo_to_dict(url)
    who = f"{known['user']}@" if known.get("user") else ""
    port = f":{known['port']}" if known.get("port") else ""
    host = str(known.get("host", ""))
    at, query = ("", f"?host={host}") if host.startswith("/") else (host, "")
    return f"postgresql://{who}{at}{port}/{known.get('dbname', '')}{query}"


def _make_tables(cursor: Cursor[Any]) -> None:
    there = cursor.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.leases",)).fetchone()
    if there == (None,):
        # Two who make them at the same time would get in each other's way.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for statement in _TABLES:
            cursor.execute(statement)


def _locked_head(cursor: Cursor[Any], run: str) -> Head:
    """Keep all other writers out until the transaction ends, and return where the chain ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    last = cursor.execute(_HEAD, (run,)).fetchone()
    return Head(last[0], last[1], last[2] or 0) if last else Head()


def _is_there(cursor: Cursor[Any], row: Row) -> bool:
    query = f"SELECT 1 FROM {SCHEMA}.events WHERE sequence = %s AND hash = %s"  # noqa: S608
    return cursor.execute(query, (row[0], row[-1])).fetchone() is not None
