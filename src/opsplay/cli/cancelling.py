"""The verb that takes a run back while it is under way, or after it was cut short: cancel."""

from __future__ import annotations

from invoke import Context

from opsplay.cli.given import WHERE
from opsplay.cli.showing import played
from opsplay.cli.verb import CHANGING, verb
from opsplay.core.errors import ExitStatus


@verb(
    CHANGING,
    positional=["run"],
    help={"now": "Do not wait for the act under way: end it on its host first.", **WHERE},
)
def cancel(
    _context: Context,
    run: str,
    now: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Cancel a run: what it has begun is taken back, and nothing more is begun.

    RUN is its name, the start of it, or `last`. A run under way, here or on another machine with the
    same journal, stops after its current act. Its stage is taken back where the playbook says
    `on_failure: rollback`; elsewhere what was done stays, and `rollback` takes it back. A run that was
    cut short or waits is taken up only to be closed. It cannot be resumed afterwards.
    """
    from opsplay import app

    where = {"inventory": inventory, "state": state}
    return played(lambda options: app.cancel(run, options, now=now), where, yes=True, json=json)
