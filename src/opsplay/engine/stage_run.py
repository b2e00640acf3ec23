"""Carry out one stage on one site: brackets, steps, verdict, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opsplay.core.action import Visit
from opsplay.core.errors import (
    Interrupted,
    LineCut,
    OpsplayError,
    StepFailed,
    StorageUnreachable,
    Unreachable,
    UnreadableAnswer,
)
from opsplay.core.event import Event, State
from opsplay.core.playbook import Stage
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.door import MAINTENANCE, Door
from opsplay.engine.history import StageHistory, history_of
from opsplay.engine.job import JobReport, JobState
from opsplay.engine.lock import free_script, read_take, take_script
from opsplay.engine.plan import PlannedStage, PlannedStep
from opsplay.engine.step_run import StepRun
from opsplay.engine.undo import state_of, undo_stage
from opsplay.engine.watch import as_before, baseline, smoke

_REPLACES_ALL = ("UndoRun", "Restore")
"""Actions that leave neither the old site nor the new one when they fail half-way."""


class LeftClosed(StepFailed):
    """Nobody knows what the site is now: the door stays closed and the lock held, for a resume."""


class StageRun:
    """One stage on one site, begun now or taken up again from the journal."""

    def __init__(self, context: Context, planned: PlannedStage) -> None:
        self.context = context
        self.planned = planned
        self.stage: Stage = planned.stage
        self.environment = planned.stage.environment
        self.door = Door(context, self.environment, self.stage.name)
        self.past: StageHistory = context.history.stage(self.stage.name)
        self.before: Mapping[str, Any] | None = None
        self.closed_since: Event | None = self.past.opened.get(MAINTENANCE)

    def carry_out(self) -> State:
        """Do what is left of the stage and return how it ended.

        Raises Unreachable, LineCut, Interrupted or LeftClosed when it has to be left as it is:
        `resume` takes it up again from the journal.
        """
        return self._journalled(self._outcome)

    def give_up(self, reason: str) -> State:
        """End a stage that cannot be gone on with: its verdict if it has one, else take it back."""

        def back() -> tuple[State, str]:
            self._take_lock()
            self._settle()
            if self.past.verdict is not None:
                return self._close(self.past.verdict, self.past.detail)
            return self._close(*self._go_back(reason))

        return self._journalled(back)

    def _journalled(self, act: Callable[[], tuple[State, str]]) -> State:
        started = self.context.tools.clock.monotonic()
        self.context.write("stage_started", stage=self.stage.name, environment=self.environment)
        state, detail = act()
        seconds = round(self.context.tools.clock.monotonic() - started, 3)
        self.context.write(
            "stage_finished",
            stage=self.stage.name,
            state=state,
            detail=detail,
            seconds=seconds,
        )
        return state

    def _outcome(self) -> tuple[State, str]:
        if self.planned.not_needed and not self.past.started:
            self._nothing_to_do()
            return State.OK, self.planned.not_needed
        if not self._touches_anything():
            return self._unbracketed()
        self._take_lock()
        self._settle()
        if self.past.verdict is not None:
            return self._close(self.past.verdict, self.past.detail)
        if self._opened_by_others():
            return self._unlocked(State.FAILED, _OPENED)
        if self.past.rollback is not None:
            return self._close(*self._go_back(str(self.past.rollback.data["reason"])))
        return self._close(*self._work())

    def _touches_anything(self) -> bool:
        return self.planned.pending or self.past.started

    def _work(self) -> tuple[State, str]:
        try:
            self._open_brackets()
            return self._steps()
        except Interrupted as error:
            return self._interrupted(error)
        except OpsplayError as error:
            if isinstance(error, Unreachable | LineCut) and not _of_storage(error):
                raise
            return self._failed(error)

    def _unbracketed(self) -> tuple[State, str]:
        try:
            return self._steps()
        except (Unreachable, LineCut, Interrupted):
            raise
        except OpsplayError as error:
            return State.FAILED, str(error)

    def _steps(self) -> tuple[State, str]:
        state = State.OK
        for step in self.planned.steps:
            self.context.tools.stop.check()
            if self._step(step) == State.CHANGED:
                state = State.CHANGED
        return state, ""

    def _step(self, step: PlannedStep) -> State:
        past = self.past.finished_steps.get(step.index)
        around = self._surroundings(self.before)
        return StepRun(self.context, self.stage, step, around, past).carry_out()

    def _nothing_to_do(self) -> None:
        for step in self.planned.steps:
            run = StepRun(self.context, self.stage, step, self._surroundings(None), None)
            run.finish(State.SKIPPED if step.skipped else State.OK, self.planned.not_needed)

    def _open_brackets(self) -> None:
        self._remember_before()
        if self.stage.maintenance:
            self._close_door()
        if self.stage.on_failure == "rollback":
            self.door.save()

    def _close_door(self) -> None:
        opening = self.door.close()
        self.closed_since = self.closed_since or opening

    def _remember_before(self) -> None:
        if self.past.baseline is not None:
            self.before = self.past.baseline.data
            return
        visits = self._visits()
        if not visits and self.stage.on_failure != "rollback":
            return
        found = baseline(self.context, visits[0], self.environment) if visits else {"pages": []}
        if self.stage.on_failure == "rollback":
            site = self.context.at(self.environment)
            found["state"] = state_of(self.context.ask(self.environment, site.cms.facts()))
        self.before = {"environment": self.environment, **found}
        self.context.write("baseline", **self.before)

    def _visits(self) -> list[Visit]:
        return [
            change.do
            for step in self.planned.steps
            for change in step.changes
            if isinstance(change.do, Visit)
        ]

    def _take_lock(self) -> None:
        context, site = self.context, self.context.at(self.environment)
        script = take_script(site, context.run, context.tools.clock.now())
        read_take(context.transport(self.environment).run(script), site, context.run)
        if not self.past.locked:
            context.write("lock_taken", environment=self.environment)

    def _settle(self) -> None:
        # Jobs of a controller that died may still be at work: nothing is done beside them.
        for event in (*self.past.begun, *self.past.unresolved):
            report = self._ended(event)
            if event.kind == "intent":
                self.past.results[event.sequence] = self.context.write(
                    "result",
                    intent=event.sequence,
                    outcome=_OUTCOMES[report.state] if report.exit_status else "done",
                    detail=f"after the interruption the host says: {report.state}",
                    facts={"output": report.output[-4096:]},
                    seconds=0,
                )
        self.context.forget(self.environment)

    def _ended(self, event: Event) -> JobReport:
        job = self.context.job(self.environment, self.stage.name, event.sequence)
        try:
            return job.wait(bar=True)
        except UnreadableAnswer:
            return JobReport(JobState.LOST)

    def _opened_by_others(self) -> bool:
        # Whoever let visitors in since made what they wrote worth keeping.
        return self.past.door_closed and not self.door.is_closed()

    def _failed(self, error: OpsplayError) -> tuple[State, str]:
        if self.stage.on_failure == "rollback":
            return self._go_back(str(error))
        if self.stage.maintenance and self._half_replaced():
            raise self._left_closed(str(error)) from error
        return State.FAILED, str(error)

    def _left_closed(self, what: str) -> LeftClosed:
        run, site = self.context.run, self.context.site.name
        return LeftClosed(what, site=site, state=_CLOSED, next_command=f"invoke resume {run}")

    def _interrupted(self, error: Interrupted) -> tuple[State, str]:
        if self.context.tools.stop.at_once:
            raise error
        if self.stage.on_failure == "rollback":
            return self._go_back(str(error))
        if not (self.stage.maintenance and self._half_replaced()):
            self._close(State.UNKNOWN, str(error))
        raise error

    def _half_replaced(self) -> bool:
        stage = self._as_journalled()
        return any(
            intent.data["action"]["action"] in _REPLACES_ALL and stage.outcome(intent) != "done"
            for intent in stage.intents
        )

    def _as_journalled(self) -> StageHistory:
        events = self.context.tools.events(self.context.run)
        return history_of(events, self.context.site.name).stage(self.stage.name)

    def _go_back(self, reason: str) -> tuple[State, str]:
        stage = self._as_journalled()
        self.before = stage.baseline.data if stage.baseline else None
        if stage.restore_point is None and not stage.intents:
            return State.FAILED, reason
        if self.past.rollback is None:
            self.context.write("rollback_started", reason=reason, environment=self.environment)
        try:
            if self.stage.maintenance:
                self._close_door()
            undo_stage(self.context, stage, self.environment, self.context.run)
            self._look_again()
        except OpsplayError as error:
            if isinstance(error, Unreachable | LineCut | Interrupted):
                raise
            detail = f"{reason}\nand going back failed too: {error}"
            self.context.write("rollback_finished", state=State.FAILED, detail=detail)
            raise self._left_closed(detail) from error
        self.context.write("rollback_finished", state=State.ROLLED_BACK, detail=reason)
        return State.ROLLED_BACK, reason

    def _look_again(self) -> None:
        visits = self._visits()
        if visits and self.before is not None:
            visit = as_before(visits[0], self.before)
            smoke(self.context, visit, self._surroundings(self.before))

    def _surroundings(self, before: Mapping[str, Any] | None) -> Surroundings:
        touched = self._touches_anything()
        return Surroundings(self.environment, self.stage.name, self.door.headers, before, touched)

    def _close(self, state: State, detail: str) -> tuple[State, str]:
        if self.stage.maintenance and (self.door.touched or self.closed_since):
            self.door.open(self.closed_since, {"verdict": state, "detail": detail})
        return self._unlocked(state, detail)

    def _unlocked(self, state: State, detail: str) -> tuple[State, str]:
        script = free_script(self.context.at(self.environment), self.context.run)
        answer = self.context.transport(self.environment).run(script)
        if not answer.ok:
            raise StepFailed("the host lock could not be freed", site=self.context.site.name)
        self.context.write("lock_freed", environment=self.environment)
        return state, detail


def _of_storage(error: OpsplayError) -> bool:
    return isinstance(error, StorageUnreachable)


_OUTCOMES = {
    JobState.ENDED: "failed",
    JobState.LOST: "unknown",
    JobState.RUNNING: "unknown",
    JobState.ABSENT: "unknown",
}
_CLOSED = "closed to visitors and locked; the restore point and the backup are there"
_OPENED = (
    "somebody opened the site to visitors since the run was cut short: nothing was put back, so"
    " that what they wrote is kept; look at the site, then run the playbook again"
)
