"""Carry out a plan on one site, from its first unfinished stage to its verdict."""

from __future__ import annotations

from opsplay.core.errors import (
    ExitStatus,
    Interrupted,
    LineCut,
    Locked,
    OpsplayError,
    Unreachable,
    Waiting,
)
from opsplay.core.event import State
from opsplay.engine.brief import brief_of, with_hash
from opsplay.engine.cancel import closed, ends_before
from opsplay.engine.context import Context
from opsplay.engine.history import StageHistory
from opsplay.engine.line import Line, SiteResult
from opsplay.engine.plan import PlannedStage, SitePlan
from opsplay.engine.stage_run import StageRun

_GOOD = (State.OK, State.CHANGED, State.SKIPPED)


_FREE = Line()


def carry_out(context: Context, plan: SitePlan, line: Line = _FREE) -> SiteResult:
    """Do the plan's stages in order and journal the site's verdict; never raises OpsplayError.

    Stages that the sites before it do not allow it to begin yet are left for a resume.
    """
    context.note("site_started", pending=plan.pending)
    context.stages = plan.stages
    _recall(context)
    try:
        result = _stages(context, plan, line)
    except OpsplayError as error:
        result = _left(context, error)
    context.write(
        "site_finished",
        state=result.state,
        detail=result.detail,
        exit_status=int(result.exit_status),
        downtime_seconds=round(context.downtime, 3),
    )
    return result


def _stages(context: Context, plan: SitePlan, line: Line) -> SiteResult:
    if context.tools.stop.cancelled_by and not context.history.half_done:
        return closed(context)
    if plan.error is not None:
        return _unplannable(context, plan.error)
    worst = State.OK
    for index, planned in enumerate(plan.stages):
        if not context.tools.stop.cancelled_by:
            context.tools.stop.check()
        if held := _held(context, planned, line, index):
            return held
        try:
            state, detail = _stage(context, planned)
        except Waiting as error:
            told = (State.WAITING, error.exit_status, str(error), planned.stage.name)
            return SiteResult(context.site.name, *told)
        if state not in _GOOD:
            return _ended(context, state, detail)
        worst = State.CHANGED if state == State.CHANGED else worst
    return SiteResult(context.site.name, worst, ExitStatus.DONE)


def _stage(context: Context, planned: PlannedStage) -> tuple[State, str]:
    past = context.history.stage(planned.stage.name)
    if past.state is not None:
        return past.state, past.ended
    run = StageRun(context, planned)
    return run.carry_out(), run.ended


def _held(context: Context, planned: PlannedStage, line: Line, index: int) -> SiteResult | None:
    """Return why a stage must not begin now, if so; one that was begun always goes on."""
    if ends_before(context, planned):
        return closed(context)
    past, name = context.history.stage(planned.stage.name), context.site.name
    if past.state is not None or past.started or not (reason := line.holds(index)):
        return None
    if line.stopped:
        return SiteResult(name, State.SKIPPED, ExitStatus.DONE, reason)
    if not planned.pending:
        return None
    stage = planned.stage.name
    context.write(
        "waiting", stage=stage, step=-1, reason="turn", until=None, detail=reason, window=""
    )
    return SiteResult(name, State.WAITING, ExitStatus.WAITING, reason, stage)


def _unplannable(context: Context, error: OpsplayError) -> SiteResult:
    # A run cut short in production whose site cannot even be asked any more: back to what it was.
    for stage in context.playbook.stages:
        past = context.history.stage(stage.name)
        if not past.half_done:
            continue
        run = StageRun(context, PlannedStage(stage, ()))
        if context.tools.stop.cancelled_by:
            return _ended(context, run.carry_out(), run.ended)
        if stage.on_failure == "rollback":
            state = run.give_up(str(error))
            return _ended(context, state, str(error))
    raise error


def _ended(context: Context, state: State, detail: str) -> SiteResult:
    rolled_back = state == State.ROLLED_BACK
    status = ExitStatus.ROLLED_BACK if rolled_back else context.failed_as
    if context.tools.stop.cancelled_by:
        status = ExitStatus.INTERRUPTED
    return SiteResult(context.site.name, state, status, detail)


def _left(context: Context, error: OpsplayError) -> SiteResult:
    site, stop = context.site.name, context.tools.stop
    match error:
        case Interrupted() if stop.cancelled_by and not stop.at_once:
            return closed(context)
        case Unreachable() | LineCut():
            state = State.UNREACHABLE
        case Locked():
            state = State.WAITING
        case _:
            state = State.UNKNOWN
    return SiteResult(site, state, error.exit_status, str(error))


def _recall(context: Context) -> None:
    for stage in context.history.stages.values():
        for end in stage.finished_steps.values():
            context.registered.update(end.data.get("registered", {}))
            if State(end.data["state"]) in {State.OK, State.CHANGED}:
                context.held(str(end.data["kind"]), _environment(context, stage.name))
            elif State(end.data["state"]) == State.SKIPPED:
                context.left_out.add((stage.name, int(end.data["step"])))
        for intent in stage.intents:
            if _failed(stage, intent.sequence):
                if intent.data["action"]["action"] == "Drill":
                    context.failed_as = ExitStatus.DRILL_FAILED
                continue
            environment = str(intent.data["environment"])
            result = stage.results.get(intent.sequence)
            brief = with_hash(brief_of(intent.data), result.data["facts"] if result else {})
            context.remember(str(intent.data["kind"]), environment, brief)


def _environment(context: Context, name: str) -> str:
    return next(stage.environment for stage in context.playbook.stages if stage.name == name)


def _failed(stage: StageHistory, sequence: int) -> bool:
    result = stage.results.get(sequence)
    return result is not None and result.data["outcome"] == "failed"
