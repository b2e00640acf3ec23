"""The host lock in the hands of a stage, and what an earlier process left under way behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opsplay.core.errors import Locked, UnreadableAnswer
from opsplay.core.event import Event
from opsplay.core.query import Answer
from opsplay.engine.ask import ASKING_TIMEOUT, Question
from opsplay.engine.context import Context
from opsplay.engine.history import StageHistory
from opsplay.engine.job import JobReport, JobState
from opsplay.engine.lock import (
    JOBS_KEPT,
    fence_of,
    free_script,
    read_free,
    read_take,
    take_script,
)
from opsplay.engine.plan import PlannedStage
from opsplay.engine.probe import dismount, riding
from opsplay.engine.together import came_of_one, groups


def take_lock(
    context: Context, environment: str, questions: Sequence[Question] = ()
) -> dict[Question, Answer]:
    """Take the lock, from an older process of this run too. Raises Locked, Fenced.

    `questions` to its host ride along; returns what was answered once the lock was ours.
    """
    site, epoch = context.at(environment), context.tools.epoch
    context.write("lock_taking", environment=environment, epoch=epoch)
    script = take_script(site, context.run, context.tools.clock.now(), epoch)
    ride, mark = riding([one.asked for one in questions])
    patience = ASKING_TIMEOUT if questions else 60.0
    script = f"{script}{ride}" if questions else script
    answer = context.transport(environment).run(script, timeout=patience)
    answer, found = dismount(answer, mark, len(questions))
    try:
        read_take(answer, site, context.run, epoch)
    except Locked as error:
        context.write("lock_refused", environment=environment, detail=error.what)
        raise
    context.fences[environment] = fence_of(site, context.run, epoch)
    # Who takes the run up looks for the lock because of the line before: this one need not be safe.
    context.note("lock_taken", environment=environment, epoch=epoch)
    return dict(zip(questions, found, strict=False))


def first_questions(
    context: Context, planned: PlannedStage, past: StageHistory
) -> Sequence[Question]:
    """Return what the first steps ask, where nothing is done between taking the lock and them."""
    stage, group = planned.stage, next(groups(planned.steps), ())
    brackets = stage.maintenance or stage.on_failure == "rollback"
    if past.started or brackets or len(group) == 1:
        return ()
    site = context.at(stage.environment)
    queries = (one.step.probe(site) for one in group if one.step is not None)
    return context.asking(stage.environment, queries)


def free_lock(context: Context, environment: str) -> None:
    """Free the lock. Raises Fenced when a newer process of this run holds it."""
    site, epoch = context.at(environment), context.tools.epoch
    answer = context.transport(environment).run(free_script(site, context.run, epoch))
    read_free(answer, site, context.run, epoch)
    context.fences.pop(environment, None)
    context.write("lock_freed", environment=environment)


def settle(context: Context, past: StageHistory, environment: str) -> None:
    """Wait for what an earlier process began, and journal what came of it.

    Nothing is done beside its jobs; what it did not begin can never begin after this.
    """
    for event in (*past.begun, *past.unresolved):
        report = _ended(context, past, environment, event)
        if event.kind == "intent":
            forgotten = context.tools.clock.now() - event.at > JOBS_KEPT / 2
            outcome, detail = _made_of(context, past, event, report, forgotten=forgotten)
            past.results[event.sequence] = context.write(
                "result",
                intent=event.sequence,
                outcome=outcome,
                detail=detail,
                facts={"output": report.output[-4096:]},
                seconds=0,
            )
    context.forget(environment)


def _ended(context: Context, past: StageHistory, environment: str, event: Event) -> JobReport:
    # Acts that were done together are one job, named after the first of them.
    job = context.job(environment, past.name, event.sequence - int(event.data.get("place", 0)))
    try:
        return replace(job, killable=_is_script(event)).wait(bar=True)
    except UnreadableAnswer:
        return JobReport(JobState.LOST)


def _made_of(
    context: Context,
    past: StageHistory,
    intent: Event,
    report: JobReport,
    *,
    forgotten: bool,
) -> tuple[str, str]:
    """Return what came of an act that was under way, and who says so.

    `forgotten`: so long ago that the host may have let go of what it knew.
    """
    if "place" in intent.data and report.state in {JobState.ENDED, JobState.LOST}:
        came = came_of_one(report, intent, context.run)
        return came.outcome, f"after the interruption the host says: {came.detail or came.outcome}"
    if report.state == JobState.ENDED:
        detail = f"after the interruption the host says: {report.state}"
        return ("failed" if report.exit_status else "done"), detail
    if (answer := past.answers.get(intent.sequence)) is not None:
        outcome = "done" if answer.data["answer"] == "done" else "failed"
        return outcome, f"{answer.data['user']} says: {answer.data['answer']}"
    # A script that was not begun, and is barred now, was not done; streams leave no such trace.
    begun = report.state != JobState.ABSENT or forgotten or not _is_script(intent)
    outcome = "unknown" if begun else "failed"
    return outcome, f"after the interruption the host says: {report.state}"


def _is_script(event: Event) -> bool:
    return event.kind == "intent" and event.data["action"]["action"] in {"Shell", "Write"}
