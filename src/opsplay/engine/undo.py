"""Go back: undo what the journal says was done, newest first, without needing the CMS to boot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opsplay.core.action import Erase, Shell, Write, from_data
from opsplay.core.drivers import Facts
from opsplay.core.errors import InvalidInput, OpsplayError, StepFailed, VaultRefused
from opsplay.core.event import Event
from opsplay.engine.acts import run_shell, write_script
from opsplay.engine.context import Context
from opsplay.engine.door import RESTORE_POINT
from opsplay.engine.erase_act import ledger_of
from opsplay.engine.history import StageHistory, history_of
from opsplay.engine.job import Job
from opsplay.engine.lock import EXPIRY
from opsplay.engine.restore_erasing import Forgetting


def state_of(facts: Facts) -> dict[str, Any]:
    """Return what must be the same again after a rollback, as data for the journal."""
    return {
        "core": facts.version,
        "database": facts.database_version,
        "modules": {module.name: module.version for module in facts.modules},
    }


def undo_run(context: Context, run: str, environment: str) -> str:
    """Undo what `run` (an id, or `last`) did to this environment; return its id.

    Raises StepFailed when that run did nothing here that still stands, when a later run changed
    the environment since (its work would be lost, too), or when the way back is gone.
    """
    last = context.tools.last_change(context.site.name, environment, context.run)
    run = last if run == "last" else run
    history = history_of(context.tools.events(run, site=context.site.name), context.site.name)
    stages = [stage for stage in history.stages.values() if _stands(stage, environment)]
    if not stages:
        raise StepFailed(
            f"run {run} changed nothing in {environment} that still stands",
            site=context.site.name,
            state="nothing was changed",
            next_command=f"invoke logs {run}",
        )
    if run != last:
        raise StepFailed(
            f"run {last} changed {environment} after run {run}: it would be undone unseen",
            site=context.site.name,
            state="nothing was changed",
            next_command=f"invoke rollback {last}",
        )
    for stage in reversed(stages):
        undo_stage(context, stage, environment, run)
    return run


def _stands(stage: StageHistory, environment: str) -> bool:
    return not stage.went_back and any(
        intent.data["environment"] == environment and (intent.data["undo"] or _covered(intent))
        for intent in stage.intents
    )


def _covered(intent: Event) -> bool:
    return bool(intent.data["covered"])


def undo_stage(context: Context, stage: StageHistory, environment: str, run: str) -> None:
    """Undo one stage of `run`, newest change first, then put the restore point back and look.

    What the restore point covers is undone by it, in one go; who was erased since is erased again.
    Raises StepFailed unless versions and schema are again what they were when the stage began;
    VaultRefused, InvalidInput when the ledger of erasures cannot be relied on: nothing was undone.
    """
    saved = stage.restore_point
    forgetting = _forgetting(context, stage, environment) if saved else None
    for intent in reversed(stage.intents):
        if intent.data["undo"] and not (saved and _covered(intent)):
            _undo(context, intent, stage, run, _script_of(intent.data["undo"]))
    if saved is not None:
        put_back = Shell(context.at(environment).cms.put_back())
        _undo(context, saved, stage, run, put_back, forgetting)
    _compare(context, stage, environment)


def _forgetting(context: Context, stage: StageHistory, environment: str) -> Forgetting | None:
    """Return what putting the restore point back owes to those who were erased since.

    While the run that made it holds the lock, nobody can be erased but by that run itself: then
    nothing is owed, and a site goes back without its vault.
    """
    site, saved_at = context.at(environment), stage.opened[RESTORE_POINT].at
    held = stage.locked and context.tools.clock.now() - saved_at < EXPIRY
    if not site.vault or (held and not any(map(_erases, stage.intents))):
        return None
    ledger = ledger_of(context.tools, site)
    if not ledger.noted_since(saved_at):
        return None
    return Forgetting(ledger, saved_at, site, context.transport(environment))


def _erases(intent: Event) -> bool:
    return bool(intent.data["action"]["action"] == Erase.__name__)


def _undo(
    context: Context,
    event: Event,
    stage: StageHistory,
    run: str,
    act: Shell,
    forgetting: Forgetting | None = None,
) -> None:
    environment = str(event.data["environment"])
    what = event.data.get("what") or RESTORE_POINT
    clock = context.tools.clock
    started = clock.monotonic()
    intent = context.write("undo_intent", of=event.sequence, what=what, environment=environment)

    def result(outcome: str, detail: str) -> None:
        seconds = round(clock.monotonic() - started, 3)
        context.write(
            "undo_result", of=event.sequence, outcome=outcome, detail=detail, seconds=seconds
        )

    job = context.job(environment, stage.name, intent.sequence, run)
    try:
        _run_undo(job, act, result, forgetting)
    finally:
        context.forget(environment)


def _run_undo(
    job: Job, act: Shell, result: Callable[[str, str], None], forgetting: Forgetting | None
) -> None:
    try:
        told = run_shell(job, act).told
        if forgetting and (again := forgetting.erase()):
            told = f"{told}\nerasure requests carried out again: {again}".strip()
    except (StepFailed, VaultRefused, InvalidInput) as error:
        result("failed", str(error))
        raise
    result("done", told)


def _script_of(data: Mapping[str, Any]) -> Shell:
    match from_data(data):
        case Shell() as shell:
            return shell
        case Write() as write:
            return Shell(write_script(write))
        case other:
            raise OpsplayError(f"{type(other).__name__} is no way back")


def _compare(context: Context, stage: StageHistory, environment: str) -> None:
    before = (stage.baseline.data.get("state") if stage.baseline else None) or {}
    if not before:
        return
    now = state_of(context.ask(environment, context.at(environment).cms.facts()))
    differing = sorted(key for key in before if before[key] != now[key])
    if differing:
        raise StepFailed(
            "after going back, "
            + "; ".join(f"{key} is {now[key]}, was {before[key]}" for key in differing),
            site=context.site.name,
        )
