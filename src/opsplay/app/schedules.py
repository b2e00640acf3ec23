"""Schedules as they stand: read from the playbooks, judged by the journal. Changes nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from opsplay.app.looking import journal
from opsplay.app.options import Options
from opsplay.app.workshop import load_kinds
from opsplay.core.drill_promise import EVERY, DrillPromise
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.core.event import Event
from opsplay.core.finding import Finding
from opsplay.core.playbook import Inventory, Playbook
from opsplay.core.schedule import Schedule, Standing, Start
from opsplay.engine.schedule import MOST_STARTS, forecast
from opsplay.engine.schedule_past import KINDS, Records, records
from opsplay.kit.wording import counted
from opsplay.language.read import read_inventory, read_playbook
from opsplay.language.together import check_together

_LAST = Path("schedule") / "last-tick"
_TICKS_STOPPED = timedelta(minutes=10)


@dataclass(frozen=True)
class Scheduled:
    """A playbook that starts by itself, and the sites it is for."""

    name: str
    path: Path
    schedule: Schedule
    sites: tuple[str, ...] = ()
    drills: bool = False
    """Whether it holds restore drills."""
    error: InvalidInput | None = None
    """Why it cannot be started: mistakes in it, or in the inventory."""


@dataclass(frozen=True)
class Timetable:
    """All scheduled playbooks, and the playbooks that cannot be read."""

    scheduled: tuple[Scheduled, ...]
    broken: Mapping[str, InvalidInput]
    """Name → its mistakes; whether it has a schedule is not known."""
    promised: Mapping[str, str] = field(default_factory=dict)
    """Site → how often a drill was promised."""


@dataclass(frozen=True)
class Done:
    """One thing that a tick did, found or could not do."""

    what: str
    """started, begun (apart), resumed, busy, overdue, given up, invalid, failed, ping."""
    name: str
    """The playbook's, or the run's."""
    text: str
    sites: tuple[str, ...] = ()
    run: str = ""
    slot: str = ""
    exit_status: ExitStatus = ExitStatus.DONE


def folder(options: Options) -> Path:
    """Return where the playbooks are whose `schedule:` counts."""
    return options.inventory.parent / "playbooks"


def timetable(options: Options) -> Timetable:
    """Return every playbook with a `schedule:`. A mistake in one does not stop the others."""
    load_kinds()
    books, broken = _books(options)
    stock: Inventory | InvalidInput
    try:
        stock = read_inventory(options.inventory, extra_vars=options.extra_vars)
    except InvalidInput as error:
        stock = error
    found = tuple(_scheduled(path, book, stock, options) for path, book in books)
    return Timetable(tuple(one for one in found if one is not None), broken, _promised(stock))


def _promised(stock: Inventory | InvalidInput) -> dict[str, str]:
    sites = () if isinstance(stock, InvalidInput) else stock.sites.values()
    return {one.name: one.promises[EVERY] for one in sites if one.vault and EVERY in one.promises}


def _books(options: Options) -> tuple[list[tuple[Path, Playbook]], dict[str, InvalidInput]]:
    books: list[tuple[Path, Playbook]] = []
    broken: dict[str, InvalidInput] = {}
    for path in sorted(folder(options).glob("*.yaml")):
        try:
            books.append((path, read_playbook(path, extra_vars=options.extra_vars)))
        except InvalidInput as error:
            broken[path.stem] = error
    return books, broken


def _scheduled(
    path: Path, book: Playbook, stock: Inventory | InvalidInput, options: Options
) -> Scheduled | None:
    if book.schedule is None:
        return None
    if isinstance(stock, InvalidInput):
        return Scheduled(path.stem, path, book.schedule, error=stock)
    try:
        sites = check_together(book, stock, options.limit)
    except InvalidInput as error:
        return Scheduled(path.stem, path, book.schedule, error=error)
    drills = any(step.kind == "restore_drill" for stage in book.stages for step in stage.steps)
    return Scheduled(path.stem, path, book.schedule, tuple(site.name for site in sites), drills)


class Memory:
    """What the journal says of schedules: read once, and then only what is new."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._events: list[Event] = []
        self._records = Records()
        self._recorded = 0

    def events(self) -> Sequence[Event]:
        """Return the events that schedules have to do with; none where there is no journal yet."""
        if has_journal(self._options):
            opened = journal(self._options)
            try:
                last = self._events[-1].sequence if self._events else 0
                self._events += opened.events(kinds=KINDS, after=last)
            finally:
                opened.close()
        return self._events

    def records(self) -> Records:
        """Return the same, ready to be asked for one schedule on one site."""
        if len(self.events()) > self._recorded:
            self._records, self._recorded = records(self._events), len(self._events)
        return self._records


def has_journal(options: Options) -> bool:
    """Return whether there is a journal to look into: who only looks leaves no empty one behind."""
    where = options.journal_at
    return where.is_file() if isinstance(where, Path) else True


def standings(memory: Memory, table: Timetable, now: datetime) -> tuple[Standing, ...]:
    """Return how each schedule stands on each of its sites."""
    found = memory.records()
    return tuple(
        found.standing(one.schedule, one.name, site, now)
        for one in table.scheduled
        for site in one.sites
    )


def drills_overdue(memory: Memory, table: Timetable, now: datetime) -> dict[str, str]:
    """Return site → what is to be said of a promise of drills that is broken.

    By the journal, which is read at each tick; `backups` asks the vaults.
    """
    found = memory.records()
    promises = {
        site: DrillPromise(every, found.drilled.get(site), found.first[site])
        for site, every in table.promised.items()
        if site in found.first
    }
    return {site: one.told(now) for site, one in promises.items() if one.overdue(now)}


def starts(
    options: Options,
    since: datetime,
    until: datetime,
    off: tuple[datetime, datetime] | None = None,
) -> tuple[Start, ...]:
    """Return what starts between two moments; `off`: while the controller is supposed to be off.

    Raises InvalidInput when it is more than anybody can read.
    """
    table = timetable(options)
    found = forecast(standings(Memory(options), table, options.clock.now()), since, until, off)
    if len(found) > MOST_STARTS:
        raise InvalidInput(
            f"there are more than {MOST_STARTS} starts in that time",
            next_command="invoke schedule.list --days 1",
        )
    return found


@contextmanager
def schedule_lock(options: Options, name: str) -> Iterator[str]:
    """Hold a schedule on this machine; gives the holder instead (process id, since) if taken.

    The lock dies with its process.
    """
    place = options.state / "schedule"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place / f"{name}.lock").open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            yield handle.read().strip() or "another process"
            return
        handle.truncate(0)
        handle.write(f"process {os.getpid()}, since {options.clock.now():%Y-%m-%d %H:%M:%S UTC}")
        handle.flush()
        yield ""


def at_work(options: Options, sites: Iterable[str]) -> bool:
    """Return whether a process on this machine holds one of the sites."""
    return any(_is_held(options.state / "locks" / f"{site}.lock") for site in sites)


def orphans(options: Options) -> tuple[str, ...]:
    """Return the runs of a journal in PostgreSQL that no living process is at work on."""
    from opsplay.journal.leases import Leases
    from opsplay.journal.postgres import PostgresStore

    store = PostgresStore(str(options.journal_at), options.clock)
    try:
        return Leases(store).orphans()
    finally:
        store.close()


def _is_held(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def mark(options: Options) -> None:
    """Note that there was a tick: `doctor` looks whether anybody calls them."""
    path = options.state / _LAST
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(f"{options.clock.now().isoformat()}\n", encoding="utf-8")


def last_tick(options: Options) -> datetime | None:
    """Return when the last tick ended; None when there was none."""
    path = options.state / _LAST
    try:
        return datetime.fromisoformat(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return None


def findings(options: Options) -> Iterator[Finding]:
    """Yield what `doctor` says of schedules; nothing where there are none, and no promises."""
    table, now, memory = timetable(options), options.clock.now(), Memory(options)
    for site, told in drills_overdue(memory, table, now).items():
        yield Finding(f"drills of {site}", False, told, fix=f"opsplay drill {site}")
    if not table.scheduled:
        return
    last = last_tick(options)
    if last is None or now - last > _TICKS_STOPPED:
        told = "nobody starts what is due" if last is None else "what starts them has stopped"
        yield Finding("schedules", False, told, fix="opsplay schedule.install")
    rows = standings(memory, table, now)
    late = [row for row in rows if row.overdue_since is not None]
    for row in late:
        fix = f"opsplay logs --site {row.site}, then opsplay run playbooks/{row.name}.yaml"
        told = f"no good run on {row.site} within the time its schedule gives"
        yield Finding(f"overdue: {row.name}", False, told, fix=fix)
    if not late:
        yield Finding("schedules", True, f"{counted(len(rows), 'site')}, none overdue")
