"""Verbs of several machines: serve, workers; and what `run --submit` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Context

from opsplay.cli.given import WHERE, options_of
from opsplay.cli.screen import document, emit, program_name, screen
from opsplay.cli.stopping import stopping
from opsplay.cli.verb import READING, verb
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.kit.clock import SystemClock

if TYPE_CHECKING:
    from opsplay.app.workers import Told

_SERVING = (*READING, ExitStatus.LOCKED)
_PATIENCE = 60.0


@verb(
    _SERVING,
    help={
        "name": "NAME that the others see this worker by (worker-MACHINE-PROCESS).",
        "at_once": "NUMBER of runs at the same time, each on other sites (4).",
        "patience": "SECONDS of silence after which this worker is taken for dead (60).",
        **WHERE,
    },
)
def serve(
    _context: Context,
    name: str = "",
    at_once: int = 4,
    patience: float = _PATIENCE,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> None:
    """Carry out submitted runs, as one of several workers.

    The workers share a journal in PostgreSQL. On each site one of them is at work at a time. When
    one dies, another takes its runs over; should it wake up again, it can write nothing any more.
    Ctrl-C ends the acts under way, hands their runs to the other workers and leaves; a second one
    does not wait for the acts, which go on on their hosts.
    """
    from opsplay.app.workers import serve as work

    if at_once < 1 or patience <= 0:
        raise InvalidInput("--at-once and --patience must be more than nothing")

    def tell(told: Told) -> None:
        if json:
            document("worker", {"what": told.what, "run": told.run, "text": told.text})
        else:
            emit(f"{SystemClock().now():%Y-%m-%d %H:%M:%S} UTC  {told.text}")

    with stopping(emit if not json else lambda text: document("notice", {"text": text})) as stop:
        options = options_of(inventory=inventory, state=state, stop=stop)
        work(options, tell, name, at_once=at_once, patience=patience)


@verb(READING, help={"state": WHERE["state"], "json": WHERE["json"]})
def workers(_context: Context, json: bool = False, state: str = ".opsplay") -> None:
    """Show the workers: what they do and since when, and who is dead.

    Commands that were started by hand with the same journal are shown too.
    """
    from opsplay.app.workers import workers as seen
    from opsplay.reports.workers import workers_data, workers_table

    found = seen(options_of(state=state))
    if json:
        document("workers", {"workers": workers_data(found)})
    else:
        screen().print(workers_table(found, SystemClock().now()))


def submitted(playbook: Path, where: Mapping[str, Any], *, json: bool) -> ExitStatus:
    """Hand a run to the workers, and tell how to follow it."""
    from opsplay.app.workers import submit

    run = submit(playbook, options_of(**where))
    follow = f"{program_name()} logs {run} --follow"
    if json:
        document("submitted", {"run": run, "follow": follow})
    else:
        emit(f"run {run} is submitted; the next worker that is free carries it out")
        emit(f"try: {follow}")
    return ExitStatus.DONE
