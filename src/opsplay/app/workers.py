"""Several machines: runs are submitted to a journal in PostgreSQL, and workers carry them out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from opsplay.app.approving import waiting_runs
from opsplay.app.looking import journal
from opsplay.app.options import Options
from opsplay.app.presence import PATIENCE, Presence
from opsplay.app.runs import resume, start_data
from opsplay.app.workshop import load_kinds
from opsplay.core.errors import ExitStatus, Fenced, InvalidInput, Locked, OpsplayError
from opsplay.core.event import Event, State
from opsplay.engine.courier import Courier
from opsplay.engine.tools import Stop
from opsplay.engine.waits import waiting_run
from opsplay.journal import Journal, is_url, open_journal
from opsplay.journal.leases import Leases, Seen
from opsplay.kit.ids import run_id
from opsplay.language.read import read_all

_ATTEMPTS = 3
"""How often one worker begins a run that it cannot carry out before it journals it as failed."""
_LATER = timedelta(seconds=2)
"""When a run is looked at again whose sites are at work otherwise."""
_LOOKS = 0.2
"""Seconds between two looks whether somebody asked to stop."""


@dataclass(frozen=True)
class Told:
    """One thing a worker tells while it serves."""

    what: str
    """serving, begun, ended, busy, handed back, taken over, failed, submitted, left."""
    run: str
    text: str


Tell = Callable[[Told], None]


def submit(playbook: Path, options: Options) -> str:
    """Write a run into the journal for a worker to carry it out; return its name."""
    url = _url(options)
    load_kinds()
    book, inventory, sites = read_all(
        playbook, options.inventory, extra_vars=options.extra_vars, limit=options.limit
    )
    name = run_id(options.clock.now())
    start = {**start_data("run", book, inventory, sites, options), "submitted": True}
    with _courier(url) as courier, _opened(options) as record:
        event = record.append(name, "run_started", "", start)
        options.listener(event)
        courier.submit(name, _lock_of(event))
    return name


def workers(options: Options) -> tuple[Seen, ...]:
    """Return the processes at work with this journal, the dead ones too."""
    from opsplay.journal.postgres import PostgresStore

    store = PostgresStore(_url(options), options.clock)
    try:
        return Leases(store).seen()
    finally:
        store.close()


def serve(
    options: Options,
    tell: Tell,
    name: str = "",
    *,
    at_once: int = 4,
    patience: float = PATIENCE,
) -> None:
    """Carry out submitted runs until `options.stop`, then hand back what is under way.

    `at_once`: runs at the same time, each on other sites. `patience`: seconds of silence after
    which this worker may be taken for dead.
    """
    from opsplay.couriers.postgres import PostgresCourier

    url = _url(options)
    load_kinds()
    with Presence(url, options.clock, name, patience=patience, serves=True) as presence:
        known = presence.holder.name
        courier = PostgresCourier(url, known, at_once=at_once, patience=patience)
        try:
            _Worker(replace(options, presence=presence), presence, courier, tell).serve()
        finally:
            courier.close()
    tell(Told("left", "", f"worker {known} has left"))


class _Worker:
    """What serves: the courier in this thread, everything that has to be looked after beside it."""

    def __init__(self, options: Options, presence: Presence, courier: Courier, tell: Tell) -> None:
        self.options = options
        self.presence = presence
        self.courier = courier
        self.tell = tell
        self.active: dict[str, Stop] = {}
        self.attempts: dict[str, int] = {}
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.record = open_journal(options.journal_at, options.clock)

    def serve(self) -> None:
        holder = self.presence.holder
        self.tell(Told("serving", "", f"worker {holder.name} serves as process {holder.pid}"))
        beside = threading.Thread(target=self._look_after, name="look after", daemon=True)
        beside.start()
        try:
            self.courier.serve(self._execute)
        finally:
            self.over.set()
            beside.join()
            self.record.close()

    def _look_after(self) -> None:
        """Until it is over: bring what nobody is at work on, and hand back when asked to stop."""
        pause = self.presence.holder.patience.total_seconds() / 6
        since = pause
        while not self.over.wait(_LOOKS):
            if self.options.stop.requested:
                self._hand_back()
            elif (since := since + _LOOKS) >= pause:
                since = 0.0
                self._bring()

    def _hand_back(self) -> None:
        self.courier.stop()
        with self.lock:
            stops = tuple(self.active.values())
        for stop in stops:
            stop.hand_over(at_once=self.options.stop.at_once)

    def _bring(self) -> None:
        """Submit what the queue ought to know and does not: after a death, or its own loss."""
        try:
            queued = self.courier.queued()
            missing = [run for run in self._wanted() if run not in {*queued, *self.active}]
            for run in missing:
                start = self._start(run)
                if start.data.get("submitted"):
                    self.courier.submit(run, "" if self._begun(run) else _lock_of(start))
        except OpsplayError as error:
            self.tell(Told("failed", "", f"not submitted anew for now: {error.what}"))

    def _wanted(self) -> list[str]:
        ready = [
            one.run for one in waiting_runs(self.record, self.options.clock.now()) if one.ready
        ]
        return [*self.presence.leases.orphans(), *ready]

    def _start(self, run: str) -> Event:
        return self.record.events(run, kinds=("run_started",))[0]

    def _begun(self, run: str) -> bool:
        # Its site may be waited for by others in the queue, and they wait for it in the journal.
        return bool(self.record.events(run, kinds=("run_resumed",)))

    def _execute(self, run: str) -> None:
        stop = Stop()
        with self.lock:
            if run in self.active:
                return  # brought twice
            self.active[run] = stop
        try:
            if self._is_open(run):
                self._carry_out(run, stop)
        except Fenced as error:
            self.tell(Told("taken over", run, error.what))
        except Locked as error:
            self.tell(Told("busy", run, f"run {run} waits: {error}"))
            self._later(run)
        except Exception as error:  # noqa: BLE001 - one run must not end the worker
            self._failed(run, error)
        finally:
            with self.lock:
                del self.active[run]

    def _is_open(self, run: str) -> bool:
        """Return whether there is anything to do by now: what is brought may be old."""
        ends = self.record.events(run, kinds=("run_started", "run_resumed", "run_finished"))
        if not ends or ends[-1].kind != "run_finished":
            return bool(ends)
        found = waiting_run(run, self.record.events(run), self.options.clock.now())
        return found is not None and found.ready

    def _carry_out(self, run: str, stop: Stop) -> None:
        self.tell(Told("begun", run, f"run {run} is taken up"))
        result = resume(run, replace(self.options, stop=stop))
        if stop.handing_over and result.events[-1].kind != "run_finished":
            self.tell(Told("handed back", run, f"run {run} is handed back to the other workers"))
            return
        state = str(result.events[-1].data.get("state", ""))
        self.tell(Told("ended", run, f"run {run}: {state}, {result.exit_status.meaning}"))

    def _later(self, run: str) -> None:
        if not self.options.stop.requested:
            self.courier.submit(run, "", self.options.clock.now() + _LATER)

    def _failed(self, run: str, error: Exception) -> None:
        self.attempts[run] = self.attempts.get(run, 0) + 1
        self.tell(Told("failed", run, f"run {run} could not be carried out: {error}"))
        try:
            if self.attempts[run] < _ATTEMPTS:
                self._later(run)
            else:
                self._give_up(run, error)
        except OpsplayError as again:
            self.tell(Told("failed", run, f"run {run} is left to others: {again.what}"))

    def _give_up(self, run: str, error: Exception) -> None:
        start = self._start(run).data
        sites = [str(site) for site in start["sites"]]
        status = getattr(error, "exit_status", ExitStatus.FAILED)
        end = {"exit_status": int(status), "state": State.FAILED, "round_trips": {}, "waiting": []}
        who = f"{self.presence.holder.name} on {self.presence.holder.host}"
        try:
            self.record.append_all(
                run,
                [
                    ("run_resumed", "", {"user": who}),
                    ("run_finished", "", {**end, "detail": f"{who}: {error}"}),
                ],
                claim=self.presence.claim(run, sites, submitted=True),
            )
        finally:
            self.presence.done(run)


def _lock_of(start: Event) -> str:
    """Return the site that keeps runs apart in the queue; of several the journal alone does."""
    sites = start.data["sites"]
    return str(sites[0]) if len(sites) == 1 else ""


def _url(options: Options) -> str:
    if not is_url(options.journal_at):
        raise InvalidInput(
            "workers share a journal in PostgreSQL, and this one is a file",
            next_command="invoke serve --journal postgresql://USER@HOST/DATABASE",
        )
    return str(options.journal_at)


@contextmanager
def _opened(options: Options) -> Iterator[Journal]:
    record = journal(options)
    try:
        yield record
    finally:
        record.close()


@contextmanager
def _courier(url: str) -> Iterator[Courier]:
    from opsplay.couriers.postgres import PostgresCourier

    courier = PostgresCourier(url)
    try:
        yield courier
    finally:
        courier.close()
