"""Carry out one step on one site: plan with what is true now, act, journal, verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential

from opsplay.core.action import to_data
from opsplay.core.change import Change
from opsplay.core.errors import LineCut, OpsplayError, StepFailed
from opsplay.core.event import Event, State
from opsplay.core.playbook import Stage
from opsplay.core.step import Step
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.perform import Outcome, perform
from opsplay.engine.plan import PlannedStep

_CUT_ATTEMPTS = 4
"""How often an act whose line was cut is done again (streams; jobs re-attach by themselves)."""


class StepRun:
    """One step of one stage on one site."""

    def __init__(
        self,
        context: Context,
        stage: Stage,
        planned: PlannedStep,
        around: Surroundings,
        past: Event | None,
    ) -> None:
        self.context = context
        self.stage = stage
        self.planned = planned
        self.declaration = planned.declaration
        self.around = around
        self.past = past
        self.started = context.tools.clock.monotonic()
        self.outcomes: list[Outcome] = []

    def carry_out(self) -> State:
        """Do the step and return its state. Raises what kept it from being done, journalled."""
        self._write("step_started", name=self.declaration.title)
        if self.planned.skipped or self._left_out():
            return self.finish(State.SKIPPED, self.planned.skipped or f"when: {self._when}")
        try:
            return self._attempts()
        except OpsplayError as error:
            self.finish(State.FAILED, str(error))
            raise

    def finish(self, state: State, detail: str, changes: Sequence[Change] = ()) -> State:
        """Journal the end of the step."""
        if state in {State.OK, State.CHANGED}:
            self.context.held(self.declaration.kind, self.stage.environment)
        name = self.declaration.register
        if name:
            output = "".join(str(one.facts.get("output", "")) for one in self.outcomes)
            self.context.registered[name] = {"state": str(state), "output": output.strip()}
        self._write(
            "step_finished",
            name=self.declaration.title,
            state=state,
            detail=detail,
            changes=[_brief(change) for change in changes],
            facts=_facts(self.outcomes),
            seconds=round(self.context.tools.clock.monotonic() - self.started, 3),
        )
        return state

    @property
    def _when(self) -> str:
        return self.declaration.when

    def _left_out(self) -> bool:
        if not self.planned.later:
            return False
        scope = self.context.scope()
        return bool(self._when) and not self.context.tools.language.is_true(self._when, scope)

    def _attempts(self) -> State:
        retrying = Retrying(
            stop=stop_after_attempt(self.declaration.retries + 1),
            wait=wait_exponential(multiplier=self.declaration.delay, max=300),
            retry=retry_if_exception_type(StepFailed),
            sleep=self.context.tools.clock.sleep,
            before_sleep=self._note_retry,
            reraise=True,
        )
        return retrying(self._once)

    def _once(self) -> State:
        step = self._step()
        if self._already_done(step):
            return self.finish(State.OK, "done before the interruption")
        changes = self._changes(step)
        self.outcomes = [self._act(number, change) for number, change in enumerate(changes)]
        if changes and step.convergent:
            self._verify(step)
        detail = "; ".join(one.detail.splitlines()[-1] for one in self.outcomes if one.detail)
        changed = bool(changes) and not step.observes
        return self.finish(State.CHANGED if changed else State.OK, detail, changes)

    def _step(self) -> Step[Any]:
        context = self.context
        step = self.planned.step
        if step is None:
            step = context.tools.language.build_step(self.declaration, context.scope())
        held = context.rehearsal(step.kind, self.stage.environment)
        return step if held is None else step.rehearsed(held)

    def _already_done(self, step: Step[Any]) -> bool:
        if self.past is None or step.convergent or step.observes:
            return False
        return State(self.past.data["state"]) in {State.OK, State.CHANGED}

    def _changes(self, step: Step[Any]) -> list[Change]:
        environment = self.stage.environment
        site = self.context.at(environment)
        seen = self.context.ask(environment, step.probe(site))
        return list(step.plan(site, seen))

    def _verify(self, step: Step[Any]) -> None:
        left = self._changes(step)
        if left:
            wanted = "; ".join(f"{one.what}: {one.before} → {one.after}" for one in left)
            raise StepFailed(
                f"it was done, but read back it still has to change: {wanted}",
                site=self.context.site.name,
            )

    def _act(self, number: int, change: Change) -> Outcome:
        attempts = Retrying(
            stop=stop_after_attempt(_CUT_ATTEMPTS),
            wait=wait_exponential(multiplier=1, max=20),
            retry=retry_if_exception_type(LineCut),
            sleep=self.context.tools.clock.sleep,
            before_sleep=self._note_retry,
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                return self._try(number, change, attempt.retry_state.attempt_number)
        raise StepFailed("never tried")  # pragma: no cover - Retrying reraises

    def _try(self, number: int, change: Change, attempt: int) -> Outcome:
        self.context.tools.stop.check()
        intent = self._write(
            "intent",
            change=number,
            attempt=attempt,
            **_brief(change),
            loses=change.loses,
            covered=change.covered,
            environment=self.stage.environment,
            action=to_data(change.do),
            undo=to_data(change.undo) if change.undo else None,
        )
        started = self.context.tools.clock.monotonic()

        def result(outcome: str, detail: str, facts: Any) -> None:
            seconds = round(self.context.tools.clock.monotonic() - started, 3)
            self.context.write(
                "result",
                intent=intent.sequence,
                outcome=outcome,
                detail=detail,
                facts=facts,
                seconds=seconds,
            )

        return self._perform(change, intent, result)

    def _perform(
        self, change: Change, intent: Event, result: Callable[[str, str, Any], None]
    ) -> Outcome:
        try:
            outcome = perform(self.context, change.do, self.around, intent.sequence)
        except OpsplayError as error:
            result("failed", str(error), {})
            raise
        finally:
            if not (self.planned.step and self.planned.step.observes):
                self.context.forget(self.stage.environment)
        result("done", outcome.detail, dict(outcome.facts))
        self.context.remember(self.declaration.kind, self.stage.environment, _brief(change))
        return outcome

    def _note_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        self._write("retry", error=str(error), attempt=state.attempt_number, wait_seconds=wait)

    def _write(self, kind: Any, /, **data: Any) -> Event:
        place = {
            "stage": self.stage.name,
            "step": self.planned.index,
            "kind": self.declaration.kind,
        }
        return self.context.write(kind, **place, **data)


def _brief(change: Change) -> dict[str, str]:
    return {
        "what": change.what,
        "before": change.before,
        "after": change.after,
        "key": change.key,
        "version": change.version,
        "package": change.package,
    }


def _facts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {key: value for one in outcomes for key, value in one.facts.items() if key != "output"}
