"""Carry out neighbouring steps together: asked in one breath, done in one job, looked at at once.

Twenty files cost as many round trips as one. Each step has its own intents, results and end in the
journal, and its own verification, just as if it had been alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from opsplay.core.change import Change
from opsplay.core.errors import (
    Fenced,
    Interrupted,
    LineCut,
    OpsplayError,
    StepFailed,
    Unreachable,
)
from opsplay.core.event import Event, State
from opsplay.core.query import Answer, Query
from opsplay.engine.acts import run_job
from opsplay.engine.ask import Question
from opsplay.engine.brief import brief
from opsplay.engine.context import Context
from opsplay.engine.outcome import Outcome
from opsplay.engine.step_run import StepRun
from opsplay.engine.together import Came, came_of, joinable, mark_of, script_of

_OPEN = (LineCut, Unreachable, Interrupted)
"""Errors after which the job may go on on the host."""


@dataclass(frozen=True)
class _Act:
    """One act, with the step it belongs to."""

    run: StepRun
    number: int
    change: Change


class GroupRun:
    """Several steps of one stage on one site."""

    def __init__(
        self, context: Context, runs: Sequence[StepRun], after: Iterable[Query[Any]] = ()
    ) -> None:
        self.context = context
        self.stage = runs[0].stage
        self.after = tuple(after)
        self.left = list(runs)
        """Steps that have no end in the journal yet."""

    def carry_out(self) -> State:
        """Do the steps and return their state. Raises what kept one from being done, journalled."""
        for run in self.left:
            run.begin()
        try:
            states = self._together()
        except OpsplayError as error:
            self.left[0].finish(State.FAILED, str(error))
            raise
        # What cannot be done together, or was cut off on the host: each is looked up first.
        states |= {run.carry_out() for run in self.left}
        return State.CHANGED if State.CHANGED in states else State.OK

    def _together(self) -> set[State]:
        acts = self._wanted()
        if not all(joinable(act.change.do) for act in acts):
            return set()
        came = self._act(acts) if acts else []
        states = set()
        for run in list(self.left):
            mine = [(act, one) for act, one in zip(acts, came, strict=True) if act.run is run]
            if any(one.outcome == "unknown" for _, one in mine):
                break
            states.add(self._conclude(run, mine))
        self.context.flush()
        return states

    def _wanted(self) -> list[_Act]:
        also = [*self._questions(self.left)]
        return [
            _Act(run, number, change)
            for run in self.left
            for number, change in enumerate(run.wanted(run.exact(), also))
        ]

    def _questions(self, runs: Iterable[StepRun]) -> Iterator[Query[Any]]:
        site = self.context.at(self.stage.environment)
        return (run.exact().probe(site) for run in runs)

    def _conclude(self, run: StepRun, mine: Sequence[tuple[_Act, Came]]) -> State:
        for act, came in mine:
            if came.outcome != "done":
                raise StepFailed(came.detail, site=self.context.site.name)
            run.outcomes.append(Outcome(came.detail, came.facts))
            kind = run.declaration.kind
            self.context.remember(kind, self.stage.environment, brief(act.change))
        if mine:
            run.verify(run.exact(), chain(self._questions(self.left[1:]), self.after))
        changes = [act.change for act, came in mine if not came.spared]
        # What came of its acts is on the disk: the ends of all steps share one transaction.
        state = run.conclude(run.exact(), changes, at_once=False)
        self.left.remove(run)
        return state

    def _act(self, acts: Sequence[_Act]) -> list[Came]:
        """Do the acts in one job and return what each came to, journalled."""
        self.context.tools.stop.check()
        intents = self._intend(acts)
        started = self.context.tools.clock.monotonic()
        looked: dict[Question, Answer] = {}
        try:
            came, looked = self._done(acts, intents)
        except Fenced:
            raise
        except OpsplayError as error:
            outcome = "unknown" if isinstance(error, _OPEN) else "failed"
            self._results(intents, [Came(outcome, str(error))] * len(intents), started)
            raise
        finally:
            self.context.forget(self.stage.environment)
            self.context.known.update(looked)  # seen when all was done
        self._results(intents, came, started)
        return came

    def _intend(self, acts: Sequence[_Act]) -> Sequence[Event]:
        for place, act in enumerate(acts):
            act.run.note_intent(act.number, act.change, place)
        return self.context.flush()[-len(acts) :]

    def _done(
        self, acts: Sequence[_Act], intents: Sequence[Event]
    ) -> tuple[list[Came], dict[Question, Answer]]:
        first = intents[0].sequence
        mark = mark_of(self.context.run, first)
        job = self.context.job(self.stage.environment, self.stage.name, first)
        script = script_of([act.change.do for act in acts], mark)
        questions = self.context.asking(self.stage.environment, self._questions(self.left))
        asking = replace(job, killable=True, then=tuple(one.asked for one in questions))
        report = self.left[0].again_after_cuts(lambda: run_job(asking, script))
        looked = dict(zip(questions, report.looked, strict=False))
        return came_of(report, mark, len(acts)), looked

    def _results(self, intents: Sequence[Event], came: Sequence[Came], started: float) -> None:
        seconds = round(self.context.tools.clock.monotonic() - started, 3)
        for intent, one in zip(intents, came, strict=True):
            self.context.note(
                "result",
                intent=intent.sequence,
                outcome=one.outcome,
                detail=one.detail,
                facts=dict(one.facts),
                seconds=seconds,
            )
        self.context.flush()
