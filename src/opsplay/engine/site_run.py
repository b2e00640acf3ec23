"""Carry out a plan on one site, from its first unfinished stage to its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opsplay.core.errors import ExitStatus, LineCut, Locked, OpsplayError, Unreachable
from opsplay.core.event import State
from opsplay.engine.context import Context
from opsplay.engine.history import StageHistory
from opsplay.engine.plan import PlannedStage, SitePlan
from opsplay.engine.stage_run import StageRun
from opsplay.engine.step_run import with_hash

_GOOD = (State.OK, State.CHANGED, State.SKIPPED)


@dataclass(frozen=True)
class SiteResult:
    """How a run ended for one site."""

    site: str
    state: State
    exit_status: ExitStatus
    detail: str = ""


def carry_out(context: Context, plan: SitePlan) -> SiteResult:
    """Do the plan's stages in order and journal the site's verdict; never raises OpsplayError."""
    context.write("site_started", pending=plan.pending)
    _recall(context)
    try:
        result = _stages(context, plan)
    except OpsplayError as error:
        result = _left(context.site.name, error)
    context.write(
        "site_finished",
        state=result.state,
        detail=result.detail,
        exit_status=int(result.exit_status),
        downtime_seconds=round(context.downtime, 3),
    )
    return result


def _stages(context: Context, plan: SitePlan) -> SiteResult:
    if plan.error is not None:
        return _unplannable(context, plan.error)
    worst = State.OK
    for planned in plan.stages:
        context.tools.stop.check()
        past = context.history.stage(planned.stage.name)
        state = past.state or StageRun(context, planned).carry_out()
        if state not in _GOOD:
            return _ended(context.site.name, state, _reason(context, planned.stage.name))
        worst = State.CHANGED if state == State.CHANGED else worst
    return SiteResult(context.site.name, worst, ExitStatus.DONE)


def _unplannable(context: Context, error: OpsplayError) -> SiteResult:
    # A run cut short in production whose site cannot even be asked any more: back to what it was.
    for stage in context.playbook.stages:
        past = context.history.stage(stage.name)
        if past.state is None and past.started and stage.on_failure == "rollback":
            state = StageRun(context, PlannedStage(stage, ())).give_up(str(error))
            return _ended(context.site.name, state, str(error))
    raise error


def _ended(site: str, state: State, detail: str) -> SiteResult:
    rolled_back = state == State.ROLLED_BACK
    status = ExitStatus.ROLLED_BACK if rolled_back else ExitStatus.FAILED
    return SiteResult(site, state, status, detail)


def _left(site: str, error: OpsplayError) -> SiteResult:
    match error:
        case Unreachable() | LineCut():
            state = State.UNREACHABLE
        case Locked():
            state = State.WAITING
        case _:
            state = State.UNKNOWN
    return SiteResult(site, state, error.exit_status, str(error))


def _reason(context: Context, stage: str) -> str:
    ends = [
        event
        for event in context.tools.events(context.run)
        if event.kind == "stage_finished"
        and event.site == context.site.name
        and event.data["stage"] == stage
    ]
    return str(ends[-1].data.get("detail", "")) if ends else ""


def _recall(context: Context) -> None:
    for stage in context.history.stages.values():
        for end in stage.finished_steps.values():
            context.registered.update(end.data.get("registered", {}))
            if State(end.data["state"]) in {State.OK, State.CHANGED}:
                context.held(str(end.data["kind"]), _environment(context, stage.name))
        for intent in stage.intents:
            if _failed(stage, intent.sequence):
                continue
            environment = str(intent.data["environment"])
            result = stage.results.get(intent.sequence)
            brief = with_hash(_brief(intent.data), result.data["facts"] if result else {})
            context.remember(str(intent.data["kind"]), environment, brief)


def _environment(context: Context, name: str) -> str:
    return next(stage.environment for stage in context.playbook.stages if stage.name == name)


def _failed(stage: StageHistory, sequence: int) -> bool:
    result = stage.results.get(sequence)
    return result is not None and result.data["outcome"] == "failed"


def _brief(data: Mapping[str, Any]) -> dict[str, str]:
    names = ("what", "before", "after", "key", "version", "package")
    return {name: str(data[name]) for name in names}
