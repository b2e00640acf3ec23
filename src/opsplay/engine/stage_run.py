"""Carry out one stage on one site: brackets, steps, verdict, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opsplay.core.action import Visit
from opsplay.core.errors import Interrupted, LineCut, OpsplayError, StepFailed, Unreachable
from opsplay.core.event import Event, State
from opsplay.core.playbook import Stage
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.door import MAINTENANCE, Door
from opsplay.engine.history import StageHistory, history_of
from opsplay.engine.lock import free_script, read_take, take_script
from opsplay.engine.plan import PlannedStage, PlannedStep
from opsplay.engine.step_run import StepRun
from opsplay.engine.undo import state_of, undo_stage
from opsplay.engine.watch import baseline, smoke


class StageRun:
    """One stage on one site, begun now or taken up again from the journal."""

    def __init__(self, context: Context, planned: PlannedStage) -> None:
        self.context = context
        self.planned = planned
        self.stage: Stage = planned.stage
        self.environment = planned.stage.environment
        self.door = Door(context, self.environment)
        self.past: StageHistory = context.history.stage(self.stage.name)
        self.before: Mapping[str, Any] | None = None
        self.closed_since: Event | None = self.past.opened.get(MAINTENANCE)
        self.locked = False

    def carry_out(self) -> State:
        """Do what is left of the stage and return how it ended.

        Raises Unreachable, LineCut or Interrupted when it has to be left as it is: `resume` takes
        it up again from the journal.
        """
        return self._journalled(self._outcome)

    def give_up(self, reason: str) -> State:
        """Take back what an interrupted run did in this stage, and return how that ended."""

        def back() -> tuple[State, str]:
            self._take_lock()
            self._settle()
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
        if self.planned.not_needed and not self.past.begun and not self.past.intents:
            self._nothing_to_do()
            return State.OK, self.planned.not_needed
        if not self._touches_anything():
            return self._steps()
        self._take_lock()
        self._settle()
        if self.past.verdict is not None:
            return self._close(self.past.verdict, self.past.detail)
        if self.past.rollback is not None:
            state, detail = self._go_back(str(self.past.rollback.data["reason"]))
        else:
            state, detail = self._work()
        return self._close(state, detail)

    def _touches_anything(self) -> bool:
        return self.planned.pending or bool(self.past.begun or self.past.intents)

    def _work(self) -> tuple[State, str]:
        try:
            self._open_brackets()
            return self._steps(raising=True)
        except (Unreachable, LineCut):
            raise
        except Interrupted as error:
            if self.context.tools.stop.at_once:
                raise
            return self._failed(error)
        except OpsplayError as error:
            return self._failed(error)

    def _steps(self, *, raising: bool = False) -> tuple[State, str]:
        state = State.OK
        try:
            for step in self.planned.steps:
                self.context.tools.stop.check()
                if self._step(step) == State.CHANGED:
                    state = State.CHANGED
        except (Unreachable, LineCut, Interrupted):
            raise
        except OpsplayError as error:
            if raising:
                raise
            return State.FAILED, str(error)
        return state, ""

    def _step(self, step: PlannedStep) -> State:
        around = self._surroundings(self.before)
        past = self.past.finished_steps.get(step.index)
        return StepRun(self.context, self.stage, step, around, past).carry_out()

    def _nothing_to_do(self) -> None:
        for step in self.planned.steps:
            around = Surroundings(self.environment, {}, None)
            run = StepRun(self.context, self.stage, step, around, None)
            run.finish(State.SKIPPED if step.skipped else State.OK, self.planned.not_needed)

    def _open_brackets(self) -> None:
        self._remember_before()
        if self.stage.maintenance:
            opening = self.door.close()
            self.closed_since = self.closed_since or opening
        if self.stage.on_failure == "rollback":
            self.door.save()

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
        self.locked = True
        if not self.past.locked:
            context.write("lock_taken", environment=self.environment)

    def _settle(self) -> None:
        # Jobs of a controller that died may still be at work: nothing is done beside them.
        for event in (*self.past.begun, *self.past.unresolved):
            report = self.context.job(self.environment, event.sequence).wait()
            if event.kind == "intent":
                outcome = "done" if report.exit_status == 0 else "unknown"
                self.past.results[event.sequence] = self.context.write(
                    "result",
                    intent=event.sequence,
                    outcome=outcome,
                    detail=f"after the interruption the host says: {report.state}",
                    facts={"output": report.output[-4096:]},
                    seconds=0,
                )
        self.context.forget(self.environment)

    def _failed(self, error: OpsplayError) -> tuple[State, str]:
        if self.stage.on_failure != "rollback":
            return State.FAILED, str(error)
        return self._go_back(str(error))

    def _go_back(self, reason: str) -> tuple[State, str]:
        context = self.context
        stage = history_of(context.tools.events(context.run), context.site.name).stage(
            self.stage.name
        )
        self.before = stage.baseline.data if stage.baseline else None
        if stage.restore_point is None and not stage.intents:
            return State.FAILED, reason
        if self.past.rollback is None:
            context.write("rollback_started", reason=reason, environment=self.environment)
        try:
            if self.stage.maintenance:
                opening = self.door.close()
                self.closed_since = self.closed_since or opening
            undo_stage(context, stage, self.environment, context.run)
            self._look_again()
        except StepFailed as error:
            detail = f"{reason}\nand going back failed too: {error}"
            context.write("rollback_finished", state=State.FAILED, detail=detail)
            raise RollbackFailed(detail, site=context.site.name) from error
        context.write("rollback_finished", state=State.ROLLED_BACK, detail=reason)
        return State.ROLLED_BACK, reason

    def _look_again(self) -> None:
        for visit in self._visits()[:1]:
            # The log has grown by what made us go back; only the pages count now.
            before = None if self.before is None else {**self.before, "log": {}}
            smoke(self.context, visit, self._surroundings(before))

    def _surroundings(self, before: Mapping[str, Any] | None) -> Surroundings:
        touched = self._touches_anything()
        return Surroundings(self.environment, self.door.headers, before, touched)

    def _close(self, state: State, detail: str) -> tuple[State, str]:
        if self.stage.maintenance and self._door_may_be_closed():
            self.door.open(self.closed_since, {"verdict": state, "detail": detail})
        if self.locked:
            script = free_script(self.context.at(self.environment), self.context.run)
            answer = self.context.transport(self.environment).run(script)
            if not answer.ok:
                raise StepFailed("the host lock could not be freed", site=self.context.site.name)
            self.context.write("lock_freed", environment=self.environment)
        return state, detail

    def _door_may_be_closed(self) -> bool:
        return bool(self.door.headers) or MAINTENANCE in self.past.opened or bool(self.closed_since)


class RollbackFailed(StepFailed):
    """Going back failed: the door stays closed and the lock held until somebody resumes."""
