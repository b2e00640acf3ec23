"""Publish what was rehearsed, and only where the rehearsal was held on a copy of this very site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opsplay.core.errors import StepFailed
from opsplay.core.playbook import Stage
from opsplay.engine.context import Context
from opsplay.engine.plan import PlannedStep


def insist_on_rehearsal(
    context: Context, stage: Stage, planned: PlannedStep, held: Sequence[Mapping[str, str]]
) -> None:
    """Raise StepFailed when this environment would need what the rehearsal did not bring.

    What came out only after the rehearsal, while the run waited, is left for the next run.
    """
    brought = {change["key"] for change in held}
    missing = [change for change in planned.changes if change.key not in brought]
    known = _foreseen(context, stage, planned.index) if missing else set()
    missing = [change for change in missing if change.key in known]
    if missing:
        one = missing[0]
        raise StepFailed(
            f"{one.what} would go from {one.before} to {one.after} here, but the rehearsal did"
            " not bring it: the copy it was held on was not like this environment",
            state="nothing was changed",
            next_command="rehearse on a fresh staging_clone",
        )


def _foreseen(context: Context, stage: Stage, step: int) -> set[str]:
    """Return the keys of what the plan foresaw for a step when the rehearsal was held."""
    elsewhere = {
        one.name for one in context.playbook.stages if one.environment != stage.environment
    }
    plan: Mapping[str, object] = {}
    kept = None
    for event in context.tools.events(context.run, site=context.site.name):
        if event.kind == "planned":
            plan = event.data
        elif event.kind == "stage_finished" and event.data["stage"] in elsewhere:
            kept = plan
    return set(_keys(plan if kept is None else kept, stage.name, step))


def _keys(plan: Mapping[str, object], stage: str, step: int) -> list[str]:
    stages = plan.get("stages")
    return [
        change["key"]
        for one in (stages if isinstance(stages, list) else [])
        if one["stage"] == stage
        for entry in one["steps"]
        if entry["step"] == step
        for change in entry["changes"]
    ]
