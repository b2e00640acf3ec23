"""Cancel a run: ask the process that carries it out, or take it back where there is none."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from dataclasses import replace

from opsplay.app.options import Options, RunResult
from opsplay.core.errors import ExitStatus, Interrupted, Locked, OpsplayError
from opsplay.core.event import Event, State
from opsplay.engine.history import history_of
from opsplay.journal import Journal, open_journal

_EVERY = 0.3
"""Seconds between two looks at the journal of a run that somebody else carries out."""


class RunOver(OpsplayError):
    """A run came to its end: there is nothing to go on with, nor to cancel."""


def insist_on_open(journal: Journal, run: str) -> None:
    """Raise RunOver when a run was cancelled."""
    ends = journal.events(run, kinds=("run_finished",))
    if ends and ends[-1].data["state"] == State.CANCELLED:
        raise RunOver(
            f"run {run} was cancelled",
            state="what it had begun was taken back",
            next_command=f"invoke logs {run}; or run the playbook again",
        )


def cancel(
    name: str, options: Options, go_on: Callable[[str, Options], RunResult], *, now: bool = False
) -> RunResult:
    """Cancel a run and return how it ended, once it has.

    A run under way stops after its current act (`now`: that act is ended on its host) and takes
    its stage back; of one that was cut short or waits, `go_on` takes back what it left. Raises
    RunOver when it has ended, or ended before it heard of this.
    """
    journal = open_journal(options.journal_at, options.clock)
    try:
        run = journal.resolve(name)
        _insist_on_unfinished(journal, run)
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        asked = journal.append(run, "cancel_requested", "", {"user": who, "now": now})
        return _judged(_ended(journal, run, asked, options, go_on))
    finally:
        journal.close()


def _ended(
    journal: Journal,
    run: str,
    asked: Event,
    options: Options,
    go_on: Callable[[str, Options], RunResult],
) -> RunResult:
    seen = asked.sequence
    while True:
        for event in journal.events(run, after=seen):
            seen = event.sequence
            options.listener(event)
            if event.kind == "run_finished":
                status = ExitStatus(int(event.data["exit_status"]))
                return RunResult(run, status, journal.events(run))
        try:
            return go_on(run, options)
        except Locked:
            _wait(options, run)
        except RunOver:
            continue  # it ended between the two looks: its last line is read next


def _wait(options: Options, run: str) -> None:
    if options.stop.requested:
        raise Interrupted(
            "not waited for any longer",
            state="the request stays: the run takes itself back when it hears of it",
            next_command=f"invoke logs {run}",
        )
    options.clock.sleep(_EVERY)


def _judged(result: RunResult) -> RunResult:
    end = next(event for event in reversed(result.events) if event.kind == "run_finished")
    state = str(end.data["state"])
    if state == State.CANCELLED:
        return replace(result, exit_status=ExitStatus.DONE)
    if state in {State.OK, State.CHANGED, State.FAILED, State.ROLLED_BACK}:
        raise RunOver(
            f"run {result.run} ended before it could be cancelled ({state})",
            next_command=f"invoke logs {result.run}; invoke rollback {result.run}",
        )
    return result


def _insist_on_unfinished(journal: Journal, run: str) -> None:
    insist_on_open(journal, run)
    events = journal.events(run)
    last = next(
        e for e in reversed(events) if e.kind in {"run_started", "run_resumed", "run_finished"}
    )
    sites = [str(site) for site in events[0].data["sites"]]
    over = all(history_of(events, site).state is not None for site in sites)
    if last.kind == "run_finished" and over:
        raise RunOver(
            f"run {run} has ended ({last.data['state']}): there is nothing to cancel",
            next_command=f"invoke rollback {run}",
        )
