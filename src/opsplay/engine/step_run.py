"""Carry out one step on one site: plan with what is true now, act, journal, verify."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tenacity import RetryCallState

from opsplay.core.action import Action, Await, Clone, Restore, Shell, Write
from opsplay.core.change import Change
from opsplay.core.errors import (
    Interrupted,
    LineCut,
    OpsplayError,
    OutcomeUnknown,
    StepFailed,
    Unreachable,
    Waiting,
)
from opsplay.core.event import Event, State
from opsplay.core.playbook import Stage
from opsplay.core.query import Query
from opsplay.core.step import Step
from opsplay.engine.approval import insist_on_changes
from opsplay.engine.attempts import after_cuts, as_declared
from opsplay.engine.brief import brief, intent_of, with_hash
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.outcome import Outcome
from opsplay.engine.plan import PlannedStep
from opsplay.engine.rehearsal import insist_on_rehearsal
from opsplay.engine.unknown import done_before, question

T = TypeVar("T")

_BEFORE = "done before the interruption"


class StepRun:
    """One step of one stage on one site."""

    def __init__(
        self,
        context: Context,
        stage: Stage,
        planned: PlannedStep,
        around: Surroundings,
        past: Event | None,
        after: Iterable[Query[Any]] = (),
    ) -> None:
        self.context = context
        self.stage = stage
        self.planned = planned
        self.declaration = planned.declaration
        self.around = replace(around, step=planned.index)
        self.past = past
        self.next = tuple(after)
        self.started = context.tools.clock.monotonic()
        self.outcomes: list[Outcome] = []
        self._place = {"stage": stage.name, "step": planned.index, "kind": planned.declaration.kind}

    def carry_out(self) -> State:
        """Do the step and return its state. Raises what kept it from being done, journalled."""
        self.begin()
        if reason := self.planned.skipped or self._left_out():
            return self.finish(State.SKIPPED, reason)
        try:
            return self._attempts()
        except Waiting:
            self.finish(State.WAITING, "")
            raise
        except OpsplayError as error:
            self.finish(State.FAILED, str(error))
            raise

    def begin(self) -> None:
        """Journal that the step's turn has come."""
        self.context.note("step_started", **self._place, name=self.declaration.title)

    def finish(
        self, state: State, detail: str, changes: Sequence[Change] = (), *, at_once: bool = True
    ) -> State:
        """Journal the end of the step; unless `at_once`, with the next event that matters."""
        if state in {State.OK, State.CHANGED}:
            self.context.held(self.declaration.kind, self.stage.environment)
        if state == State.SKIPPED:
            self.context.left_out.add((self.stage.name, self.planned.index))
        name = self.declaration.register
        if name:
            self.context.registered[name] = {"state": str(state), "output": self._output()}
        if state in {State.OK, State.SKIPPED}:  # what changed nothing can be found out again
            self.context.unsay("step_started")
            at_once = False
        tell: Callable[..., Any] = self.context.write if at_once else self.context.note
        tell(
            "step_finished",
            **self._place,
            name=self.declaration.title,
            state=state,
            detail=detail,
            changes=[brief(change) for change in changes],
            facts=_facts(self.outcomes),
            registered={name: self.context.registered[name]} if name else {},
            seconds=round(self.context.tools.clock.monotonic() - self.started, 3),
        )
        return state

    def _output(self) -> str:
        return "".join(str(one.facts.get("output", "")) for one in self.outcomes).strip()

    def _left_out(self) -> str:
        if self.planned.later:
            scope = self.context.scope()
            for when in (self.stage.when, self.declaration.when):
                if when and not self.context.tools.language.is_true(when, scope):
                    return f"when: {when}"
        return ""

    def _attempts(self) -> State:
        if not self.declaration.retries:
            return self._once_more_if_unknown()
        clock = self.context.tools.clock
        return as_declared(self.declaration, clock, self._note_retry)(self._once)

    def _once_more_if_unknown(self) -> State:
        try:
            return self._once()
        except OutcomeUnknown as error:
            # Its kind lets it be looked up, or done again: once, for it may be ended each time.
            self._write("retry", error=str(error), attempt=1, wait_seconds=0)
            return self._once()

    def _once(self) -> State:
        step = self.exact()
        if self._already_done(step):
            self.outcomes = self._outcomes_before()
            return self.finish(State.OK, _BEFORE)
        changes = self.wanted(step, () if self.planned.pending else self.next)
        self.outcomes = [
            self._done_before(step, number) or self._act(step, number, change)
            for number, change in enumerate(changes)
        ]
        if changes and step.convergent:
            self.verify(step, self.next)
        return self.conclude(step, changes)

    def wanted(self, step: Step[Any], also: Iterable[Query[Any]]) -> list[Change]:
        """Return what is to change now; `also`: see `Context.ask`.

        Raises StepFailed when it was not there to plan, or is not what was agreed to.
        """
        changes = self._changes(step, also)
        if changes and step.on_host and not (step.observes or self.around.touched):
            raise StepFailed(
                f"there is something to change now ({changes[0].what}) that was not there to plan",
                state="nothing was changed: no backup, no restore point and no lock was taken for it",
                next_command="run the playbook again",
            )
        insist_on_changes(self.context, self.stage.name, self.planned, changes)
        return changes

    def conclude(
        self, step: Step[Any], changes: Sequence[Change], *, at_once: bool = True
    ) -> State:
        """Journal that all was done, and return the state that this gives; `at_once`: as `finish`."""
        detail = "; ".join(one.detail.splitlines()[-1] for one in self.outcomes if one.detail)
        changed = bool(changes) and any(one.changed for one in self.outcomes) and not step.observes
        state = State.CHANGED if changed else State.OK
        return self.finish(state, detail, changes, at_once=at_once)

    def exact(self) -> Step[Any]:
        """Return the step as it is to be done here: with what the rehearsal brought."""
        context = self.context
        step = self.planned.step
        if step is None:
            step = context.tools.language.build_step(self.declaration, context.scope())
        held = context.rehearsal(step.kind, self.stage.environment)
        if held is None:
            return step
        exact = step.rehearsed(held)
        if exact is not step:
            insist_on_rehearsal(context, self.stage, self.planned, held)
        return exact

    def _already_done(self, step: Step[Any]) -> bool:
        if self.past is None or step.convergent or step.observes:
            return False
        return State(self.past.data["state"]) in {State.OK, State.CHANGED}

    def _outcomes_before(self) -> list[Outcome]:
        stage, index = self.context.history.stage(self.stage.name), self.planned.index
        done = [
            stage.results[one.sequence]
            for one in stage.intents
            if one.data["step"] == index and stage.outcome(one) == "done"
        ]
        return [Outcome(str(one.data["detail"]), one.data["facts"]) for one in done]

    def _changes(self, step: Step[Any], also: Iterable[Query[Any]]) -> list[Change]:
        environment = self.stage.environment
        asked = self.planned.settled and environment not in self.context.done_to
        if asked and step is self.planned.step:
            return []  # the same question, the same answer, the same plan
        site = self.context.at(environment)
        seen = self.context.ask(environment, step.probe(site), also)
        return list(step.plan(site, seen))

    def verify(self, step: Step[Any], also: Iterable[Query[Any]]) -> None:
        """Raise StepFailed unless nothing is left to change."""
        left = self._changes(step, also)
        if left:
            wanted = "; ".join(f"{one.what}: {one.before} → {one.after}" for one in left)
            raise StepFailed(
                f"it was done, but read back it still has to change: {wanted}",
                site=self.context.site.name,
            )

    def _done_before(self, step: Step[Any], number: int) -> Outcome | None:
        stage = self.context.history.stage(self.stage.name)
        result = done_before(self.context, stage, self.planned, step, number)
        return None if result is None else Outcome(_BEFORE, result.data["facts"])

    def _act(self, step: Step[Any], number: int, change: Change) -> Outcome:
        if isinstance(change.do, Await):  # asks people, and does nothing to a host
            return _done(self.context, change.do, self.around, 0)
        tried: list[Event] = []

        def once() -> Outcome:
            # A job is found again by its intent; a new one would do the act a second time.
            if not tried or not isinstance(change.do, Shell | Write | Clone | Restore):
                tried.append(self._write("intent", **self._intent(number, change, len(tried) + 1)))
            return self._perform(step, change, tried[-1])

        return self.again_after_cuts(once)

    def again_after_cuts(self, act: Callable[[], T]) -> T:
        """Do an act, again when its line is cut; each retry is journalled."""

        def once() -> T:
            self.context.tools.stop.check()
            return act()

        return after_cuts(self.context.tools.clock, self._note_retry)(once)

    def note_intent(self, number: int, change: Change, place: int) -> None:
        """Note what will be done as one of several acts in one job; `place`: which, from 0."""
        self.context.note("intent", **self._place, **self._intent(number, change, 1), place=place)

    def _intent(self, number: int, change: Change, attempt: int) -> dict[str, Any]:
        return intent_of(change, number, attempt, self.stage.environment)

    def _perform(self, step: Step[Any], change: Change, intent: Event) -> Outcome:
        started = self.context.tools.clock.monotonic()
        try:
            outcome = _done(self.context, change.do, self.around, intent.sequence)
        except OpsplayError as error:
            # The act may go on on the host: a resume waits for it before it does anything.
            cut = isinstance(error, LineCut | Unreachable | Interrupted | OutcomeUnknown)
            self._result(intent, "unknown" if cut else "failed", str(error), {}, started)
            if isinstance(error, OutcomeUnknown) and self._asks(step):
                stage = self.context.history.stage(self.stage.name)
                raise question(self.context, stage, intent, str(error)) from error
            raise
        finally:
            if not (self.planned.step and self.planned.step.observes):
                self.context.forget(self.stage.environment)
        self._result(intent, "done", outcome.detail, dict(outcome.facts), started)
        known = with_hash(brief(change), outcome.facts)
        self.context.remember(self.declaration.kind, self.stage.environment, known)
        return outcome

    def _asks(self, step: Step[Any]) -> bool:
        # Who cancelled the run had the act ended, and a rollback takes back what it did.
        return step.when_unknown == "ask" and not self.context.tools.stop.cancelled_by

    def _result(self, intent: Event, outcome: str, detail: str, facts: Any, started: float) -> None:
        seconds = round(self.context.tools.clock.monotonic() - started, 3)
        told = {"outcome": outcome, "detail": detail, "facts": facts, "seconds": seconds}
        self.context.write("result", intent=intent.sequence, **told)

    def _note_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        self._write("retry", error=str(error), attempt=state.attempt_number, wait_seconds=wait)

    def _write(self, kind: Any, /, **data: Any) -> Event:
        return self.context.write(kind, **self._place, **data)


def _facts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {key: value for one in outcomes for key, value in one.facts.items() if key != "output"}


def _done(context: Context, action: Action, around: Surroundings, sequence: int) -> Outcome:
    # All that acts is imported with it, and costs more than a run that has nothing to do.
    from opsplay.engine.perform import perform

    return perform(context, action, around, sequence)
