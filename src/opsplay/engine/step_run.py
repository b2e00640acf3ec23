"""Carry out one step on one site: plan with what is true now, act, journal, verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential

from opsplay.core.action import Clone, Restore, Shell, Write, to_data
from opsplay.core.change import Change
from opsplay.core.errors import (
    Interrupted,
    LineCut,
    OpsplayError,
    StepFailed,
    StorageUnreachable,
    Unreachable,
    VaultRefused,
)
from opsplay.core.event import Event, State
from opsplay.core.playbook import Stage
from opsplay.core.step import Step
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.perform import Outcome, perform
from opsplay.engine.plan import PlannedStep

_BEFORE = "done before the interruption"
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
        if reason := self.planned.skipped or self._left_out():
            return self.finish(State.SKIPPED, reason)
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
            self.context.registered[name] = {"state": str(state), "output": self._output()}
        self._write(
            "step_finished",
            name=self.declaration.title,
            state=state,
            detail=detail,
            changes=[_brief(change) for change in changes],
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
        retrying = Retrying(
            stop=stop_after_attempt(self.declaration.retries + 1),
            wait=wait_exponential(multiplier=self.declaration.delay, max=300),
            retry=retry_if_exception_type((StepFailed, VaultRefused, StorageUnreachable)),
            sleep=self.context.tools.clock.sleep,
            before_sleep=self._note_retry,
            reraise=True,
        )
        return retrying(self._once)

    def _once(self) -> State:
        step = self._step()
        if self._already_done(step):
            self.outcomes = self._outcomes_before()
            return self.finish(State.OK, _BEFORE)
        changes = self._changes(step)
        if changes and not (step.observes or self.around.touched):
            raise StepFailed(
                f"there is something to change now ({changes[0].what}) that was not there to plan",
                state="nothing was changed: no backup, no restore point and no lock was taken for it",
                next_command="run the playbook again",
            )
        self.outcomes = [
            self._done_before(step, number) or self._act(number, change)
            for number, change in enumerate(changes)
        ]
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
        if held is None:
            return step
        exact = step.rehearsed(held)
        if exact is not step:
            self._insist_on_rehearsal({change["key"] for change in held})
        return exact

    def _insist_on_rehearsal(self, brought: set[str]) -> None:
        missing = [change for change in self.planned.changes if change.key not in brought]
        if missing:
            one = missing[0]
            raise StepFailed(
                f"{one.what} would go from {one.before} to {one.after} here, but the rehearsal did"
                " not bring it: the copy it was held on was not like this environment",
                state="nothing was changed",
                next_command="rehearse on a fresh staging_clone",
            )

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

    def _done_before(self, step: Step[Any], number: int) -> Outcome | None:
        # Planning again shows what a convergent step still has to do; only the journal, and the
        # host that was asked how the act under way ended, know it of the others.
        if step.convergent or step.observes:
            return None
        stage = self.context.history.stage(self.stage.name)
        result = stage.done_before(self.planned.index, number)
        if result is None and stage.lost_before(self.planned.index, number):
            raise StepFailed(
                f"nobody knows whether {self.declaration.title} was done before it was cut off on"
                " the host, and doing it twice may do harm",
                state="it was not done again",
                next_command="look at the host, then run the playbook again",
            )
        return None if result is None else Outcome(_BEFORE, result.data["facts"])

    def _act(self, number: int, change: Change) -> Outcome:
        attempts = Retrying(
            stop=stop_after_attempt(_CUT_ATTEMPTS),
            wait=wait_exponential(multiplier=1, max=20),
            retry=retry_if_exception_type(LineCut),
            sleep=self.context.tools.clock.sleep,
            before_sleep=self._note_retry,
            reraise=True,
        )
        intent: Event | None = None
        for attempt in attempts:
            with attempt:
                self.context.tools.stop.check()
                # A job is found again by its intent; a new one would do the act a second time.
                if intent is None or not isinstance(change.do, Shell | Write | Clone | Restore):
                    intent = self._intend(number, change, attempt.retry_state.attempt_number)
                return self._perform(change, intent)
        raise StepFailed("never tried")  # pragma: no cover - Retrying reraises

    def _intend(self, number: int, change: Change, attempt: int) -> Event:
        return self._write(
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

    def _perform(self, change: Change, intent: Event) -> Outcome:
        started = self.context.tools.clock.monotonic()
        try:
            outcome = perform(self.context, change.do, self.around, intent.sequence)
        except OpsplayError as error:
            # The act may go on on the host: a resume waits for it before it does anything.
            cut = isinstance(error, LineCut | Unreachable | Interrupted)
            self._result(intent, "unknown" if cut else "failed", str(error), {}, started)
            raise
        finally:
            if not (self.planned.step and self.planned.step.observes):
                self.context.forget(self.stage.environment)
        self._result(intent, "done", outcome.detail, dict(outcome.facts), started)
        brief = with_hash(_brief(change), outcome.facts)
        self.context.remember(self.declaration.kind, self.stage.environment, brief)
        return outcome

    def _result(self, intent: Event, outcome: str, detail: str, facts: Any, started: float) -> None:
        seconds = round(self.context.tools.clock.monotonic() - started, 3)
        self.context.write(
            "result",
            intent=intent.sequence,
            outcome=outcome,
            detail=detail,
            facts=facts,
            seconds=seconds,
        )

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


def with_hash(brief: dict[str, str], facts: Mapping[str, Any]) -> dict[str, str]:
    """Return a change with its package pinned to the very bytes that were used."""
    if brief["package"] and "sha256" in facts and "#" not in brief["package"]:
        return {**brief, "package": f"{brief['package']}#sha256={facts['sha256']}"}
    return brief


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
