"""The one place that acts: what each kind of action does. Everything before this is data."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import assert_never

from opsplay.core.action import (
    Action,
    Await,
    Clone,
    Drill,
    Erase,
    Expire,
    Restore,
    Shell,
    Store,
    UndoRun,
    Verify,
    Visit,
    Write,
)
from opsplay.core.errors import OutcomeUnknown
from opsplay.core.query import Answer
from opsplay.engine.acts import run_shell, write_script
from opsplay.engine.approval import await_answer
from opsplay.engine.clone import copy
from opsplay.engine.context import PASS_HEADER, Context, Surroundings
from opsplay.engine.erase_act import erase
from opsplay.engine.job import Job, JobReport, JobState
from opsplay.engine.keys import opened
from opsplay.engine.outcome import Outcome
from opsplay.engine.restore import bring_back
from opsplay.engine.restoring import Restoring
from opsplay.engine.store_act import stoppable, store
from opsplay.engine.trust import find
from opsplay.engine.undo import undo_run
from opsplay.engine.watch import smoke


def perform(context: Context, action: Action, around: Surroundings, sequence: int) -> Outcome:
    """Do it. `sequence`: of the journalled intent, which names the job on the host.

    Raises StepFailed, VaultRefused, LineCut, Unreachable, Interrupted, Waiting, OutcomeUnknown.
    """
    try:
        return _performed(context, action, around, sequence)
    except TimeoutError as error:  # what was asked of the host may go on there
        raise OutcomeUnknown(f"the host did not answer in time: {error}") from error


def _performed(  # noqa: C901, PLR0911 - one return an action
    context: Context, action: Action, around: Surroundings, sequence: int
) -> Outcome:
    if isinstance(action, Drill | Verify | Expire):
        return _elsewhere(context, action)  # before all else: the environment's host may be gone
    environment = around.environment
    job = context.job(environment, around.stage, sequence)
    match action:
        case Shell():
            return _told(run_shell(replace(job, killable=True), action))
        case Write():
            run_shell(job, Shell(write_script(action)))
            return Outcome(f"wrote {action.path}")
        case Store():
            return store(context, action, around, sequence)
        case Restore():
            return _restore(context, action, around, job)
        case Clone():
            return Outcome(copy(context, action, job, environment))
        case Visit():
            return Outcome(smoke(context, action, around))
        case UndoRun():
            undone = undo_run(context, action.run, environment)
            return Outcome(f"undid run {undone}", {"undone": undone})
        case Await():
            return Outcome(await_answer(context, action, around))
        case Erase():
            return erase(context, action, around)
        case _:
            assert_never(action)


def _elsewhere(context: Context, action: Drill | Verify | Expire) -> Outcome:
    match action:
        case Drill():
            from opsplay.engine.drill import drill

            return drill(context, action)
        case Verify():
            from opsplay.engine.verify_act import verify

            return verify(context, action)
        case Expire():
            from opsplay.engine.expire_act import expire

            return expire(context)


def _told(report: JobReport) -> Outcome:
    lines = report.output.strip().splitlines() or [""]
    facts = {"output": report.output[-4096:]}
    # The last one: whatever an update printed before, the driver's own line comes after it.
    if hashes := re.findall(r"^package .* sha256 ([0-9a-f]{64})$", report.output, re.MULTILINE):
        facts["sha256"] = hashes[-1]
    return Outcome(lines[-1], facts)


def _answer(report: JobReport) -> Answer:
    ended = report.state == JobState.ENDED
    return Answer(report.exit_status if ended else 255, report.output, report.errors)


def _restore(context: Context, action: Restore, around: Surroundings, job: Job) -> Outcome:
    environment, tools = around.environment, context.tools
    site = context.at(environment)
    vault, settings = opened(tools, site)
    snapshot = find(vault, site.name, action.snapshot, context.trust(settings))
    known = around.headers.get(PASS_HEADER, "")
    work = Restoring(
        snapshot, site, context.transport(environment), vault, settings, tools.clock,
        tools.trusted(settings), stoppable(tools),
    )  # fmt: skip
    restored = bring_back(
        work,
        include=action.include,
        paths=action.paths,
        switch=lambda script: _answer(job.run(script)),
        door=hashlib.sha256(known.encode()).hexdigest() if known else "",
    )
    return Outcome(str(restored), {"snapshot": snapshot.snap, "forecast": str(restored.forecast)})
