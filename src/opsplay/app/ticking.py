"""One tick: start what is due, go on with what was cut short or waited, raise alarms, tell a watcher.

A schedule's own lock keeps two ticks from deciding about it at the same time; inside it the journal
is read again. So a tick may take as long as its runs do, and the ticks of the next minutes look
after everything else meanwhile.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from opsplay.app import alarms, runs
from opsplay.app.looking import journal
from opsplay.app.options import Options, RunResult
from opsplay.app.schedules import (
    Done,
    Memory,
    Scheduled,
    Timetable,
    at_work,
    drills_overdue,
    has_journal,
    mark,
    orphans,
    schedule_lock,
    standings,
    timetable,
)
from opsplay.core.errors import ExitStatus, InvalidInput, Locked, OpsplayError
from opsplay.core.schedule import Due, Slot
from opsplay.engine.runner import worst
from opsplay.engine.schedule import due, offset
from opsplay.engine.schedule_past import RUN, slot_id, unseen
from opsplay.engine.schedule_resume import Resumable, resumable
from opsplay.journal import is_url

Tell = Callable[[Done], None]

Apart = Callable[[Sequence[str], str], None]
"""(words, name of a log): begins opsplay with these words elsewhere and does not wait for it."""


@dataclass
class _Tick:
    """What the parts of one tick share."""

    options: Options
    tell: Tell
    only: frozenset[str]
    apart: Apart | None
    statuses: list[ExitStatus] = field(default_factory=list)
    handed_over: set[str] = field(default_factory=set)
    """Schedules that another process makes up for right now."""

    def __post_init__(self) -> None:
        self.memory = Memory(self.options)

    def say(self, done: Done) -> None:
        self.statuses.append(done.exit_status)
        self.tell(done)

    @property
    def now(self) -> datetime:
        return self.options.clock.now()


def tick(
    options: Options, tell: Tell, only: Iterable[str] = (), apart: Apart | None = None
) -> ExitStatus:
    """Do all that is due now; return the worst of what became of it.

    `tell` hears of each thing as it is done. `only`: these schedules, and no runs of others.
    `apart`: hands each run to a process of its own, so that the tick itself ends at once.
    """
    this = _Tick(options, tell, frozenset(only), apart)
    table = timetable(options)
    _check_names(this, table)
    mine = [one for one in table.scheduled if not this.only or one.name in this.only]
    for name, error in table.broken.items():
        this.say(_invalid(name, error))
    if mine or has_journal(options):
        _greet(this, mine)
        for one in mine:
            _start_due(this, one)
        if not this.only:
            _go_on(this)
        _watch(this, table)
    if not this.only and table.scheduled:
        mark(options)
    return worst(this.statuses)


def _check_names(this: _Tick, table: Timetable) -> None:
    known = {one.name for one in table.scheduled} | set(table.broken)
    if unknown := sorted(this.only - known):
        listed = ", ".join(sorted(known)) or "none"
        raise InvalidInput(f"no playbook {unknown[0]!r} has a schedule (known: {listed})")


def _invalid(name: str, error: InvalidInput) -> Done:
    what = f"{name} cannot be read: {error.what}"
    return Done("invalid", name, what, exit_status=ExitStatus.INVALID)


def _greet(this: _Tick, mine: Iterable[Scheduled]) -> None:
    """Write down which schedules are new: nothing of what lies before is due."""
    schedules = {one.name: (one.schedule, one.sites) for one in mine if one.sites}
    if not list(unseen(this.memory.records(), schedules)):
        return
    with schedule_lock(this.options, "-new-") as holder:
        if holder:
            return  # another tick writes the same down
        opened = journal(this.options)
        for data in unseen(this.memory.records(), schedules):
            opened.append(RUN, "schedule_seen", "", data)
        opened.close()


def _start_due(this: _Tick, one: Scheduled) -> None:
    if one.error is not None:
        this.say(_invalid(one.name, one.error))
        return
    if not (waiting := _due(this, one)):
        return
    with schedule_lock(this.options, one.name) as holder:
        if holder:
            text = f"{one.name}: another tick is at work on it ({holder})"
            this.say(Done("busy", one.name, text))
            return
        if this.apart is None:
            _start_all(this, one)
    if this.apart is not None:  # outside of the lock, which the other process will take
        this.apart(("schedule.tick", "--only", one.name, "--quiet"), f"{one.name}.log")
        this.handed_over.add(one.name)
        text = f"{one.name}: due on {_named(waiting)}; told in {one.name}.log"
        this.say(Done("begun", one.name, text, tuple(waiting)))


def _start_all(this: _Tick, one: Scheduled) -> None:
    waiting = _due(this, one)
    for at in sorted({slot.at for found in waiting.values() for slot in found.start}):
        if this.options.stop.requested or not _start(this, one, at, waiting):
            return


def _due(this: _Tick, one: Scheduled) -> dict[str, Due]:
    """Return what is due on each site that has anything due, by what the journal says now."""
    known = this.memory.records()
    found = {
        site: due(
            one.schedule,
            offset(one.schedule, one.name, site),
            known.past(one.schedule, one.name, site),
            this.now,
        )
        for site in one.sites
    }
    return {site: open_ for site, open_ in found.items() if open_.start}


def _start(this: _Tick, one: Scheduled, at: datetime, waiting: dict[str, Due]) -> bool:
    """Run one slot on the sites that are due for it; return whether later slots may follow."""
    sites = [site for site, found in waiting.items() if at in {slot.at for slot in found.start}]
    missed = {slot for site in sites for slot in waiting[site].missed}
    kept_out: list[str] = []
    while sites:
        options = replace(this.options, limit=",".join(sites), slot=slot_id(one.name, at))
        try:
            result = runs.run(one.path, options)
        except Locked as error:
            if error.site not in sites:
                this.say(_failed(one.name, error))
                return False
            kept_out.append(error.site)
            sites.remove(error.site)
            this.say(Done("busy", one.name, f"{one.name}: {error.site} waits: {error.what}"))
        except OpsplayError as error:
            this.say(_failed(one.name, error))
            return False
        else:
            this.say(_started(one, options.slot, sites, result, missed))
            break
    return not kept_out


def _started(
    one: Scheduled, slot: str, sites: list[str], result: RunResult, missed: set[Slot]
) -> Done:
    text = f"{one.name}: run {result.run} on {_named(sites)}: {_ended(result)}"
    if missed:
        text += f"; missed before: {len({slot.at for slot in missed})}"
    return Done(
        "started", one.name, text, tuple(sites), result.run, slot, result.exit_status
    )  # fmt: skip


def _ended(result: RunResult) -> str:
    state, status = str(result.events[-1].data.get("state", "")), result.exit_status
    return f"{state} (exit status {int(status)}: {status.meaning})" if status else state


def _named(sites: Iterable[str], most: int = 3) -> str:
    names = list(sites)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _failed(name: str, error: OpsplayError) -> Done:
    return Done("failed", name, f"{name}: {error}", exit_status=error.exit_status)


def _go_on(this: _Tick) -> None:
    """Take up runs that were cut short or need not wait any more, one after the other."""
    shared = is_url(this.options.journal_at)
    machine = "" if shared else socket.gethostname()
    dead = orphans(this.options) if shared else ()
    for one in resumable(this.memory.events(), this.now, machine):
        if this.options.stop.requested:
            return
        alive = shared and one.cut_short and one.run not in dead
        if alive or at_work(this.options, one.sites):
            continue  # its process is at work, or another run on one of its sites
        if one.given_up:
            this.say(_given_up(one))
            continue
        if this.apart is not None:
            this.apart(("resume", one.run, "--yes"), f"{one.run}.log")
            text = f"run {one.run} ({one.why}) goes on; told in {one.run}.log"
            this.say(Done("begun", one.run, text, one.sites, one.run))
            continue
        try:
            result = runs.resume(one.run, this.options)
        except Locked:
            continue  # somebody was quicker
        except OpsplayError as error:
            this.say(_failed(one.run, error))
        else:
            text = f"run {one.run} ({one.why}) went on: {_ended(result)}"
            status = result.exit_status
            this.say(Done("resumed", one.run, text, one.sites, one.run, exit_status=status))


def _given_up(one: Resumable) -> Done:
    text = f"run {one.run} was cut short again and again; look: opsplay logs {one.run}"
    return Done("given up", one.run, text, one.sites, one.run, exit_status=ExitStatus.FAILED)


def _watch(this: _Tick, table: Timetable) -> None:
    """Say what is overdue, and tell the watchers of each schedule how it stands."""
    rows = standings(this.memory, table, this.now)
    mine = [row for row in rows if row.name not in this.handed_over]
    for done in alarms.overdue(row for row in mine if not this.only or row.name in this.only):
        this.say(done)
    if this.only:
        return
    undrilled = drills_overdue(this.memory, table, this.now)
    for done in alarms.drills(undrilled):
        this.say(done)
    for done in alarms.pings(this.options, table, mine, undrilled):
        this.say(done)
