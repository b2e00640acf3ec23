"""The plan as data: what each step would change on each site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from opsplay.core.change import Change
from opsplay.core.environment import Host
from opsplay.core.errors import OpsplayError
from opsplay.core.event import State
from opsplay.core.playbook import Declaration, Stage
from opsplay.core.query import Answer, Query
from opsplay.core.site import Site
from opsplay.core.step import KINDS, Step
from opsplay.engine.ask import Question


@dataclass(frozen=True)
class PlannedStep:
    """One step of a site's plan. `index` is its place in the stage, from 0."""

    index: int
    declaration: Declaration
    step: Step[Any] | None
    """None when the step is skipped, or cannot be built before the run has come to it."""
    changes: tuple[Change, ...] = ()
    skipped: str = ""
    """Why the step is left out (`when` is false, other tags were asked for)."""
    later: str = ""
    """Why its changes are known only when the run has come to it."""
    settled: bool = False
    """Whether it was asked where it stands and has nothing to change: so it is until something is done."""

    @property
    def pending(self) -> bool:
        """Return whether this step would change something."""
        if self.skipped:
            return False
        return bool(self.later) or (
            self.step is not None and bool(self.changes) and not self.step.observes
        )

    @property
    def state(self) -> State:
        """Return the state a check shows."""
        if self.skipped:
            return State.SKIPPED
        return State.CHANGED if self.pending else State.OK


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a site's plan."""

    stage: Stage
    steps: tuple[PlannedStep, ...]
    not_needed: str = ""
    """Why the stage is not carried out: what it prepares has nothing to change."""
    waits: str = ""
    """Until when it would wait if the run came to it now; empty when it would not."""

    @property
    def pending(self) -> bool:
        """Return whether the stage would change something."""
        return not self.not_needed and any(step.pending for step in self.steps)

    @property
    def on_host(self) -> bool:
        """Return whether any step needs the environment's host; else it is not even locked."""
        return any(KINDS[one.kind].on_host for one in self.stage.steps)

    def asked_after(self, step: PlannedStep, site: Site) -> Iterator[Query[Any]]:
        """Yield the questions of the next steps, up to the first that means to change something.

        They may be asked before their turn: nothing is done until then. `site` is seen from the
        stage's environment.
        """
        for later in self.steps[step.index + 1 :]:
            if later.later:
                return
            if later.step is not None:
                yield later.step.probe(site)
            if later.pending:
                return


@dataclass(frozen=True)
class SitePlan:
    """What would be done to one site; `error` says why nothing could be planned."""

    site: Site
    stages: tuple[PlannedStage, ...] = ()
    error: OpsplayError | None = None
    known: Mapping[Question, Answer] = field(default_factory=lambda: MappingProxyType({}))
    """What was answered while planning; it holds until something is done to its environment."""
    batch: int = 1
    """Its batch, from 1."""
    risk: str = ""
    """Why it has its place in the order, in a few words."""

    @property
    def pending(self) -> bool:
        """Return whether anything would change."""
        return any(stage.pending for stage in self.stages)


@dataclass(frozen=True)
class Plan:
    """The plans of all sites, in the order in which they are carried out."""

    playbook: str
    sites: tuple[SitePlan, ...]
    round_trips: Mapping[str, int]
    """Host → round trips that planning cost."""

    @property
    def pending(self) -> bool:
        """Return whether anything would change anywhere."""
        return any(site.pending for site in self.sites)

    @property
    def next_hosts(self) -> tuple[Host, ...]:
        """Return the hosts of the first stage that would change something, of each site."""
        first = (
            one.site.at(stage.stage.environment).here.host
            for one in self.sites
            for stage in [next((each for each in one.stages if each.pending), None)]
            if stage is not None and stage.on_host
        )
        return tuple(dict.fromkeys(first))

    @property
    def errors(self) -> tuple[OpsplayError, ...]:
        """Return what kept sites from being planned."""
        return tuple(site.error for site in self.sites if site.error is not None)


def to_data(plan: SitePlan, *, differences: bool = False) -> dict[str, Any]:
    """Return a site's plan as JSON-ready data for journal, `--json` and reports.

    `differences`: with diffs of texts, for the screen alone: they are never journalled.
    """
    return {
        "site": plan.site.name,
        "error": "" if plan.error is None else str(plan.error),
        "pending": plan.pending,
        "batch": plan.batch,
        "risk": plan.risk,
        "stages": [_stage_data(stage, differences) for stage in plan.stages],
    }


def _stage_data(planned: PlannedStage, differences: bool) -> dict[str, Any]:
    return {
        "stage": planned.stage.name,
        "environment": planned.stage.environment,
        "pending": planned.pending,
        "not_needed": planned.not_needed,
        "waits": planned.waits,
        "steps": [
            _step_data(step, needed=not planned.not_needed, differences=differences)
            for step in planned.steps
        ],
    }


def _step_data(planned: PlannedStep, *, needed: bool, differences: bool) -> dict[str, Any]:
    observes = planned.step is not None and planned.step.observes
    return {
        "step": planned.index,
        "kind": planned.declaration.kind,
        "name": planned.declaration.title,
        "state": str(planned.state if needed else State.OK),
        "skipped": planned.skipped,
        "later": planned.later,
        "changes": [
            _change_data(change)
            | {"observes": observes}
            | ({"difference": change.difference} if differences else {})
            for change in planned.changes
        ]
        if needed
        else [],
    }


def _change_data(change: Change) -> dict[str, str]:
    return {
        "what": change.what,
        "before": change.before,
        "after": change.after,
        "loses": change.loses,
        "key": change.key,
        "version": change.version,
    }
