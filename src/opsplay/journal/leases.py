"""Who is at work on which site: kept beside the journal, changed in its own transactions."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opsplay.core.errors import Locked
from opsplay.journal.postgres import SCHEMA, PostgresStore
from opsplay.journal.rows import Claim

if TYPE_CHECKING:
    from psycopg import Cursor

_ALIVE = "(w.seen + w.patience > clock_timestamp())"
_LAST = f"""
SELECT DISTINCT ON (run) run, kind FROM {SCHEMA}.events
WHERE kind IN ('run_started', 'run_resumed', 'run_finished')
"""  # noqa: S608 - the schema's name is ours
_IN_THE_WAY = f"""
SELECT l.site, l.run, l.submitted, w.name, w.host, coalesce({_ALIVE}, false)
FROM {SCHEMA}.leases l LEFT JOIN {SCHEMA}.workers w ON w.id = l.holder
WHERE l.site = ANY(%s) OR l.run = %s ORDER BY l.site
"""  # noqa: S608
_ORPHANS = f"""
SELECT run FROM ({_LAST} ORDER BY run, sequence DESC) last
WHERE kind <> 'run_finished' AND NOT EXISTS (
    SELECT 1 FROM {SCHEMA}.leases l JOIN {SCHEMA}.workers w ON w.id = l.holder
    WHERE l.run = last.run AND {_ALIVE})
ORDER BY run
"""  # noqa: S608
_WORKERS = f"""
SELECT w.id, w.name, w.host, w.pid, w.since, w.seen, {_ALIVE}, w.serves, l.run, l.site, l.since
FROM {SCHEMA}.workers w LEFT JOIN {SCHEMA}.leases l ON l.holder = w.id
ORDER BY w.since, w.id, l.since, l.run, l.site
"""  # noqa: S608


@dataclass(frozen=True)
class Holder:
    """A process that may hold sites: a worker, or one command with a journal in PostgreSQL."""

    id: str
    """Unique for each process, as a name is not."""
    name: str
    host: str
    pid: int
    patience: timedelta
    """Silent for longer than this, it is dead, and others take over what it was doing."""
    serves: bool
    """Whether it takes runs from the queue."""


@dataclass(frozen=True)
class Held:
    """A run that a process is at work on."""

    run: str
    sites: tuple[str, ...]
    since: datetime


@dataclass(frozen=True)
class Seen:
    """A process as the others see it."""

    name: str
    host: str
    pid: int
    since: datetime
    seen: datetime
    alive: bool
    serves: bool
    runs: tuple[Held, ...]


class Leases:
    """The tables of workers and of the sites they hold. Times are the server's: one clock for all."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store

    def enter(self, holder: Holder) -> None:
        """Note that a process is there. Raises Locked when a living one has its name."""

        def note(cursor: Cursor[Any]) -> None:
            same = f"SELECT host, pid FROM {SCHEMA}.workers w WHERE name = %s AND id <> %s AND {_ALIVE}"  # noqa: S608
            twin = cursor.execute(same, (holder.name, holder.id)).fetchone()
            if twin is not None and holder.serves:
                raise Locked(
                    f"a worker called {holder.name} is at work already (process {twin[1]} on"
                    f" {twin[0]})",
                    state="this one took nothing",
                    next_command="invoke workers; invoke serve --name ANOTHER",
                )
            _note(cursor, holder)

        self.store.transact(note)

    def beat(self, holder: Holder, runs: Collection[str]) -> None:
        """Say that a process is alive, and at work on no other runs than these."""

        def note(cursor: Cursor[Any]) -> None:
            _note(cursor, holder)
            stale = f"DELETE FROM {SCHEMA}.leases WHERE holder = %s AND NOT run = ANY(%s)"  # noqa: S608
            cursor.execute(stale, (holder.id, list(runs)))

        self.store.transact(note)

    def leave(self, holder: Holder) -> None:
        """Forget a process that ended in order, and those that nobody heard of for a week."""

        def forget(cursor: Cursor[Any]) -> None:
            gone = (
                f"DELETE FROM {SCHEMA}.workers w WHERE id = %s OR (w.seen < now() - interval '7 days'"  # noqa: S608
                f" AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.leases l WHERE l.holder = w.id))"
            )
            cursor.execute(f"DELETE FROM {SCHEMA}.leases WHERE holder = %s", (holder.id,))  # noqa: S608
            cursor.execute(gone, (holder.id,))

        self.store.transact(forget)

    def claim(self, holder: Holder, run: str, sites: Sequence[str], *, submitted: bool) -> Claim:
        """Return what takes all sites for a run in the transaction that begins or resumes it.

        It raises Locked when one of them, or the run, is in living hands, or belongs to a run that
        a worker has to take up again first. `submitted`: workers go on with it should its holder die.
        """

        def take(cursor: Cursor[Any]) -> None:
            # A person may go on with what ended badly; a worker was only brought it too late.
            if holder.serves and _ended(cursor, run):
                raise Locked(f"run {run} has ended by now", state="nothing was done for it")
            for found in cursor.execute(_IN_THE_WAY, (list(sites), run)).fetchall():
                _refuse_if_held(cursor, run, found)
            gone = f"DELETE FROM {SCHEMA}.leases WHERE run = %s OR site = ANY(%s)"  # noqa: S608
            cursor.execute(gone, (run, list(sites)))
            cursor.executemany(
                f"INSERT INTO {SCHEMA}.leases (site, run, holder, submitted) VALUES (%s,%s,%s,%s)",  # noqa: S608
                [(site, run, holder.id, submitted) for site in sites],
            )

        return take

    def give_back(self, holder: Holder, run: str) -> None:
        """Let go of a run's sites, unless somebody took them over."""
        query = f"DELETE FROM {SCHEMA}.leases WHERE run = %s AND holder = %s"  # noqa: S608
        self.store.transact(lambda cursor: cursor.execute(query, (run, holder.id)))

    def orphans(self) -> tuple[str, ...]:
        """Return the runs that have not ended and that no living process is at work on."""
        rows = self.store.transact(lambda cursor: cursor.execute(_ORPHANS).fetchall())
        return tuple(row[0] for row in rows)

    def seen(self) -> tuple[Seen, ...]:
        """Return all processes, the dead ones too, the oldest first."""
        rows = self.store.transact(lambda cursor: cursor.execute(_WORKERS).fetchall())
        by_id: dict[str, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_id.setdefault(row[0], []).append(row)
        return tuple(_seen(found) for found in by_id.values())


def _note(cursor: Cursor[Any], holder: Holder) -> None:
    # Taken away as dead for long, and alive after all: it is written anew.
    cursor.execute(
        f"INSERT INTO {SCHEMA}.workers (id, name, host, pid, patience, serves)"  # noqa: S608
        " VALUES (%s,%s,%s,%s,%s,%s) ON CONFLICT (id) DO UPDATE SET seen = clock_timestamp()",
        (holder.id, holder.name, holder.host, holder.pid, holder.patience, holder.serves),
    )


def _ended(cursor: Cursor[Any], run: str) -> bool:
    last = cursor.execute(
        f"SELECT kind, data FROM {SCHEMA}.events WHERE run = %s AND kind IN"  # noqa: S608
        " ('run_started', 'run_resumed', 'run_finished') ORDER BY sequence DESC LIMIT 1",
        (run,),
    ).fetchone()
    # Who waits for a window or an approval has ended its process, not its run.
    return bool(last and last[0] == "run_finished" and not json.loads(last[1]).get("waiting"))


def _refuse_if_held(cursor: Cursor[Any], run: str, found: tuple[Any, ...]) -> None:
    site, other, submitted, name, host, alive = found
    if alive:
        raise Locked(
            f"{name} on {host} is at work on run {other}",
            site=site,
            state="this run changed nothing",
            next_command=f"invoke workers; invoke logs {other}",
        )
    if other != run and submitted and not _ended(cursor, other):
        raise Locked(
            f"run {other} was cut short here, and a worker takes it up again first",
            site=site,
            state="this run changed nothing",
            next_command=f"invoke workers; invoke resume {other}",
        )


def _seen(rows: Sequence[tuple[Any, ...]]) -> Seen:
    _, name, host, pid, since, seen, alive, serves, *_ = rows[0]
    held: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        if row[8] is not None:
            held.setdefault(row[8], []).append(row)
    runs = tuple(
        Held(run, tuple(row[9] for row in of_run), min(row[10] for row in of_run))
        for run, of_run in held.items()
    )
    return Seen(name, host, pid, since, seen, alive, serves, runs)
