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
    Restore,
    Shell,
    Store,
    UndoRun,
    Visit,
    Write,
)
from opsplay.core.errors import Interrupted, UnreadableAnswer
from opsplay.core.event import Progress
from opsplay.core.query import Answer
from opsplay.engine.acts import run_shell, write_script
from opsplay.engine.approval import await_answer
from opsplay.engine.clone import copy
from opsplay.engine.context import PASS_HEADER, Context, Surroundings
from opsplay.engine.job import Job, JobReport, JobState
from opsplay.engine.outcome import Outcome
from opsplay.engine.restore import bring_back
from opsplay.engine.snapshots import find
from opsplay.engine.store import take
from opsplay.engine.tools import Tools
from opsplay.engine.undo import undo_run
from opsplay.engine.watch import smoke


def perform(  # noqa: PLR0911 - one return an action
    context: Context, action: Action, around: Surroundings, sequence: int
) -> Outcome:
    """Do it. `sequence`: of the journalled intent, which names the job on the host.

    Raises StepFailed, VaultRefused, LineCut, Unreachable, Interrupted, Waiting.
    """
    environment = around.environment
    job = context.job(environment, around.stage, sequence)
    match action:
        case Shell():
            return _told(run_shell(replace(job, killable=True), action))
        case Write():
            run_shell(job, Shell(write_script(action)))
            return Outcome(f"wrote {action.path}")
        case Store():
            return _store(context, action, around, sequence)
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
        case _:
            assert_never(action)


def _told(report: JobReport) -> Outcome:
    lines = report.output.strip().splitlines() or [""]
    facts = {"output": report.output[-4096:]}
    # The last one: whatever an update printed before, the driver's own line comes after it.
    if hashes := re.findall(r"^package .* sha256 ([0-9a-f]{64})$", report.output, re.MULTILINE):
        facts["sha256"] = hashes[-1]
    return Outcome(lines[-1], facts)


def _store(context: Context, action: Store, around: Surroundings, sequence: int) -> Outcome:
    site, tools = context.at(around.environment), context.tools
    vault, settings = tools.vault(site.vault)

    def retried(error: str, attempt: int, seconds: float) -> None:
        context.write("retry", error=error, attempt=attempt, wait_seconds=round(seconds, 2))

    snapshot = take(
        action,
        site,
        context.transport(around.environment),
        vault,
        settings,
        run=context.run,
        attempt=sequence,  # unique in the journal: no attempt ever meets the objects of another
        clock=tools.clock,
        progress=_stoppable(tools),
        segment_bytes=tools.segment_bytes,
        retried=retried,
        cms_version=_version(context, around.environment),
    )
    stored = sum(segment.bytes for stream in snapshot.streams for segment in stream.segments)
    detail = f"snapshot {snapshot.snap}, {stored / 1e6:.1f} MB, confirmed by the storage"
    return Outcome(detail, {"snapshot": snapshot.snap, "bytes": stored})


def _version(context: Context, environment: str) -> str:
    try:
        return context.ask(environment, context.at(environment).cms.facts()).version
    except UnreadableAnswer:
        return ""  # a site too broken to tell its version is saved all the same


def _answer(report: JobReport) -> Answer:
    ended = report.state == JobState.ENDED
    return Answer(report.exit_status if ended else 255, report.output, report.errors)


def _restore(context: Context, action: Restore, around: Surroundings, job: Job) -> Outcome:
    environment, tools = around.environment, context.tools
    site = context.at(environment)
    vault, settings = tools.vault(site.vault)
    snapshot = find(vault, site.name, action.snapshot)
    known = around.headers.get(PASS_HEADER, "")
    bring_back(
        snapshot,
        site,
        context.transport(environment),
        vault,
        settings,
        include=action.include,
        clock=tools.clock,
        progress=_stoppable(tools),
        switch=lambda script: _answer(job.run(script)),
        door=hashlib.sha256(known.encode()).hexdigest() if known else "",
    )
    return Outcome(
        f"snapshot {snapshot.snap} is back in {environment}", {"snapshot": snapshot.snap}
    )


def _stoppable(tools: Tools) -> Progress:
    """Return a progress that ends the stream it is told of, once nothing may be waited for."""

    def progress(site: str, what: str, done: float, total: float) -> None:
        tools.progress(site, what, done, total)
        if tools.stop.at_once or tools.stop.killing:
            raise Interrupted(f"stopped at once, in the middle of the {what}", site=site)

    return progress
