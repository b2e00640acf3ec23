"""Carry out one stage on one site: brackets, steps, verdict, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opsplay.core.action import Visit
from opsplay.core.errors import (
    Fenced,
    Interrupted,
    LineCut,
    OpsplayError,
    StorageUnreachable,
    Unanswered,
    Unreachable,
    Waiting,
)
from opsplay.core.event import Event, State
from opsplay.core.playbook import Stage
from opsplay.core.query import Query
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.door import MAINTENANCE, Door, left_closed
from opsplay.engine.gate import kept_out
from opsplay.engine.history import StageHistory, history_of
from opsplay.engine.hold import first_questions, free_lock, settle, take_lock
from opsplay.engine.plan import PlannedStage, PlannedStep
from opsplay.engine.step_run import StepRun
from opsplay.engine.together import groups

_REPLACES_ALL = ("UndoRun", "Restore")
"""Actions that leave neither the old site nor the new one when they fail half-way."""


class StageRun:
    """One stage on one site, begun now or taken up again from the journal."""

    def __init__(self, context: Context, planned: PlannedStage) -> None:
        self.context = context
        self.planned = planned
        self.stage: Stage = planned.stage
        self.environment = planned.stage.environment
        self._pending = planned.pending
        self.door = Door(context, self.environment, self.stage.name)
        self.past: StageHistory = context.history.stage(self.stage.name)
        self.before: Mapping[str, Any] | None = None
        self.ended = ""
        """Why the stage ended as it did, once it has."""
        self.closed_since: Event | None = self.past.opened.get(MAINTENANCE)

    def carry_out(self) -> State:
        """Do what is left of the stage and return how it ended.

        Raises Unreachable, LineCut, Interrupted, Fenced, Unanswered or LeftClosed when it has to be left
        as it is: `resume` takes it up again from the journal.
        """
        return self._journalled(self._outcome)

    def give_up(self, reason: str) -> State:
        """End a stage that cannot be gone on with: its verdict if it has one, else take it back."""

        def back() -> tuple[State, str]:
            self._begin()
            if self.past.verdict is not None:
                return self._close(self.past.verdict, self.past.detail)
            return self._close(*self._go_back(reason))

        return self._journalled(back)

    def _journalled(self, act: Callable[[], tuple[State, str]]) -> State:
        started = self.context.tools.clock.monotonic()
        self.context.note("stage_started", stage=self.stage.name, environment=self.environment)
        state, detail = act()
        self.ended = detail
        seconds = round(self.context.tools.clock.monotonic() - started, 3)
        tell = self.context.write if self._touches_anything() else self.context.note
        tell(
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
        if not self.past.started and (why := kept_out(self.context, self.planned)):
            return State.FAILED, why
        self._begin()
        return self._locked()

    def _locked(self) -> tuple[State, str]:
        if self.past.verdict is not None:
            return self._close(self.past.verdict, self.past.detail)
        if self._opened_by_others():
            return self._unlocked(State.FAILED, _OPENED)
        if self.past.rollback is not None:
            return self._close(*self._go_back(str(self.past.rollback.data["reason"])))
        if self.context.tools.stop.cancelled_by:
            return self._close(*self._cancelled())
        return self._close(*self._work())

    def _touches_anything(self) -> bool:
        return self.planned.on_host and (self._pending or self.past.started)

    def _work(self) -> tuple[State, str]:
        try:
            self._open_brackets()
            return self._steps()
        except Interrupted as error:
            return self._interrupted(error)
        except OpsplayError as error:
            if isinstance(error, Unreachable | LineCut | Fenced) and not _of_storage(error):
                raise
            return self._failed(error)

    def _unbracketed(self) -> tuple[State, str]:
        try:
            return self._steps()
        except (Unreachable, LineCut, Interrupted, Waiting):
            raise
        except OpsplayError as error:
            return State.FAILED, str(error)

    def _steps(self) -> tuple[State, str]:
        state = State.OK
        for group in groups(self.planned.steps):
            self.context.tools.stop.check()
            if self._group(group) == State.CHANGED:
                state = State.CHANGED
        return state, ""

    def _group(self, group: Sequence[PlannedStep]) -> State:
        site = self.context.at(self.environment)
        after = self.planned.asked_after(group[-1], site) if self._touches_anything() else ()
        if len(group) == 1:
            return self._step(group[0], after).carry_out()
        from opsplay.engine.group_run import GroupRun

        return GroupRun(self.context, [self._step(one) for one in group], after).carry_out()

    def _step(self, step: PlannedStep, after: Iterable[Query[Any]] = ()) -> StepRun:
        past = self.past.finished_steps.get(step.index)
        around = self._surroundings(self.before)
        return StepRun(self.context, self.stage, step, around, past, after)

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
        from opsplay.engine.undo import state_of
        from opsplay.engine.watch import baseline

        found = baseline(self.context, visits[0], self.environment) if visits else {"pages": []}
        if self.stage.on_failure == "rollback":
            site = self.context.at(self.environment)
            found["state"] = state_of(self.context.ask(self.environment, site.cms.facts()))
        self.before = {"environment": self.environment, **found}
        self.context.note("baseline", **self.before)

    def _visits(self) -> list[Visit]:
        return [
            change.do
            for step in self.planned.steps
            for change in step.changes
            if isinstance(change.do, Visit)
        ]

    def _begin(self) -> None:
        questions = first_questions(self.context, self.planned, self.past)
        looked = take_lock(self.context, self.environment, questions)
        settle(self.context, self.past, self.environment)
        self.context.known.update(looked)

    def _opened_by_others(self) -> bool:
        # Whoever let visitors in since made what they wrote worth keeping.
        return self.past.door_closed and not self.door.is_closed()

    def _cancelled(self) -> tuple[State, str]:
        reason = f"cancelled by {self.context.tools.stop.cancelled_by}"
        if self.stage.on_failure == "rollback":
            state, detail = self._go_back(reason)
            return (State.CANCELLED if state == State.FAILED else state), detail
        if self.stage.maintenance and self._half_replaced():
            raise left_closed(self.context, reason)
        told = f"{reason}; what was done before stays" if self._as_journalled().stands else reason
        return State.CANCELLED, told

    def _failed(self, error: OpsplayError) -> tuple[State, str]:
        if self.context.tools.stop.cancelled_by:
            return self._cancelled()
        if self.stage.on_failure == "rollback":
            return self._go_back(str(error))
        if self.stage.maintenance and self._half_replaced():
            raise left_closed(self.context, str(error)) from error
        if isinstance(error, Unanswered):
            self._close(State.UNKNOWN, str(error))
            raise error
        return State.FAILED, str(error)

    def _interrupted(self, error: Interrupted) -> tuple[State, str]:
        if self.context.tools.stop.at_once or self.context.tools.stop.handing_over:
            raise error
        if self.context.tools.stop.cancelled_by:
            return self._cancelled()
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
        site = self.context.site.name
        events = self.context.tools.events(self.context.run, site=site)
        return history_of(events, site).stage(self.stage.name)

    def _go_back(self, reason: str) -> tuple[State, str]:
        from opsplay.engine.undo import undo_stage

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
            if isinstance(error, Unreachable | LineCut | Interrupted | Fenced):
                raise
            detail = f"{reason}\nand going back failed too: {error}"
            self.context.write("rollback_finished", state=State.FAILED, detail=detail)
            raise left_closed(self.context, detail) from error
        self.context.write("rollback_finished", state=State.ROLLED_BACK, detail=reason)
        return State.ROLLED_BACK, reason

    def _look_again(self) -> None:
        visits = self._visits()
        if visits and self.before is not None:
            from opsplay.engine.watch import as_before, smoke

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
        free_lock(self.context, self.environment)
        return state, detail


def _of_storage(error: OpsplayError) -> bool:
    return isinstance(error, StorageUnreachable)


_OPENED = (
    "somebody opened the site to visitors since the run was cut short: nothing was put back, so"
    " that what they wrote is kept; look at the site, then run the playbook again"
)
