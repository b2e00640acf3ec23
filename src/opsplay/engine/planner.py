"""Model → plan: which wishes there are, what must be asked, what would change. Pure but for `ask`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opsplay.core.action import Clone, Shell
from opsplay.core.change import Change
from opsplay.core.environment import Host
from opsplay.core.errors import OpsplayError, StepFailed
from opsplay.core.playbook import Declaration, Playbook, Stage
from opsplay.core.query import Answer, Query
from opsplay.core.site import Site
from opsplay.core.step import Step
from opsplay.core.transport import Transport
from opsplay.engine.ask import Answers, Declare, Question, ask, undeclared
from opsplay.engine.plan import Plan, PlannedStage, PlannedStep, SitePlan
from opsplay.engine.tools import Language


@dataclass(frozen=True)
class Wish:
    """A declaration made into a step for one site, before anything was asked."""

    index: int
    declaration: Declaration
    view: str
    """Environment it is forecast on: its own, or the one that an earlier step copies over it."""
    skipped: str = ""
    later: str = ""
    step: Step[Any] | None = None
    forecast: Step[Any] | None = None
    """The step as it can be planned before its rehearsal was held."""
    query: Query[Any] | None = None
    """What the forecast asks there."""
    question: Question | None = None
    """The same as a question to a host; None when there is nothing to ask."""


def wishes_of(
    playbook: Playbook, site: Site, language: Language, tags: Sequence[str] = ()
) -> tuple[tuple[Wish, ...], ...]:
    """Return each stage's wishes for a site. Raises InvalidInput with the place in the file."""
    scope = language.scope(playbook, site, {})
    earlier: list[tuple[str, Step[Any]]] = []
    names: list[str] = []
    stages = []
    for stage in playbook.stages:
        wishes: list[Wish] = []
        view = stage.environment
        for index, declaration in enumerate(stage.steps):
            skipped, later = _left_out(declaration, stage, scope, language, tags, names)
            if skipped or later:
                wishes.append(Wish(index, declaration, stage.environment, skipped, later))
            else:
                step = language.build_step(declaration, scope)
                rehearsal = rehearsal_of(declaration.kind, stage.environment, earlier)
                wishes.append(_wish(index, declaration, step, rehearsal, site.at(view)))
                earlier.append((stage.environment, step))
                view = step.copies_from() or view
            names.extend([declaration.register] if declaration.register else [])
        stages.append(tuple(wishes))
    return tuple(stages)


def _wish(
    index: int,
    declaration: Declaration,
    step: Step[Any],
    rehearsal: Step[Any] | None,
    site: Site,
) -> Wish:
    forecast, here = step.forecast(rehearsal), site.here
    query = forecast.probe(site)
    asked = Question(site.name, here.name, here.host, query.asked) if query.script else None
    return Wish(
        index, declaration, here.name, step=step, forecast=forecast, query=query, question=asked
    )


def rehearsal_of(
    kind: str, environment: str, earlier: Iterable[tuple[str, Step[Any]]]
) -> Step[Any] | None:
    """Return the last earlier step of the same kind on another environment, if any."""
    found = [step for where, step in earlier if where != environment and step.kind == kind]
    return found[-1] if found else None


def _left_out(
    declaration: Declaration,
    stage: Stage,
    scope: Mapping[str, Any],
    language: Language,
    tags: Sequence[str],
    names: Sequence[str],
) -> tuple[str, str]:
    """Return why a step is skipped, and why it can be planned only later; empty where it is not."""
    if tags and not {*tags, "always"} & {*declaration.tags, *stage.tags}:
        return f"not tagged {', '.join(tags)}", ""
    if any(_mentions(declaration, stage.when, name) for name in names):
        return "", "depends on the result of an earlier step"
    for when in (stage.when, declaration.when):
        if when and not language.is_true(when, scope):
            return f"when: {when}", ""
    return "", ""


def _mentions(declaration: Declaration, stage_when: str, name: str) -> bool:
    told = (declaration.when, stage_when, *_templates(declaration.settings))
    return any(re.search(rf"\b{re.escape(name)}\b", text) for text in told)


def _templates(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield from [value] if "{{" in value or "{%" in value else []
        case Mapping():
            yield from (text for item in value.values() for text in _templates(item))
        case list() | tuple():
            yield from (text for item in value for text in _templates(item))
        case _:
            pass


def questions_of(wishes: Iterable[Iterable[Wish]]) -> tuple[Question, ...]:
    """Return what must be asked before the wishes of a site can be planned."""
    asked = (wish.question for stage in wishes for wish in stage)
    return tuple(dict.fromkeys(question for question in asked if question is not None))


def decide(
    site: Site, playbook: Playbook, wishes: Sequence[Sequence[Wish]], answers: Answers
) -> SitePlan:
    """Return a site's plan from what was answered. Pure."""
    try:
        stages = [
            PlannedStage(stage, _planned_steps(site, stage, group, answers))
            for stage, group in zip(playbook.stages, wishes, strict=True)
        ]
    except OpsplayError as error:
        return SitePlan(site, error=error)
    known = {
        asked: answer
        for asked in questions_of(wishes)
        if isinstance(answer := answers[asked], Answer)
    }
    return SitePlan(site, tuple(_settle_preparing(stages)), known=known)


def _settle_preparing(stages: Sequence[PlannedStage]) -> list[PlannedStage]:
    settled: dict[str, PlannedStage] = {}
    for planned in reversed(stages):
        target = settled.get(planned.stage.prepares)
        left_out = target is not None and all(step.skipped for step in target.steps)
        if target is not None and not target.pending and not left_out:
            reason = f"{planned.stage.prepares} has nothing to change"
            planned = replace(planned, not_needed=reason)  # noqa: PLW2901 - the settled one
        settled[planned.stage.name] = planned
    return [settled[planned.stage.name] for planned in stages]


def _planned_steps(
    site: Site, stage: Stage, wishes: Iterable[Wish], answers: Answers
) -> tuple[PlannedStep, ...]:
    planned: list[PlannedStep] = []
    for wish in wishes:
        try:
            planned.append(_planned(site, stage, wish, answers))
        except StepFailed as error:
            # What an earlier step of the stage will mend may be what is in the way.
            if not any(step.pending for step in planned):
                raise
            bare = PlannedStep(wish.index, wish.declaration, wish.step, later=error.what)
            planned.append(bare)
    return tuple(planned)


def _planned(site: Site, stage: Stage, wish: Wish, answers: Answers) -> PlannedStep:
    changes: tuple[Change, ...] = ()
    if wish.forecast is not None and wish.query is not None:
        answer = Answer(0) if wish.question is None else answers[wish.question]
        if isinstance(answer, OpsplayError):
            raise answer
        found = wish.forecast.plan(site.at(stage.environment), wish.query.read(answer))
        changes = tuple(_light(change) for change in found)
    settled = not changes and wish.forecast is wish.step and wish.view == stage.environment
    told = (wish.skipped, wish.later)
    return PlannedStep(wish.index, wish.declaration, wish.step, changes, *told, settled=settled)


def _light(change: Change) -> Change:
    """Return the change without the scripts of CMS updates, tens of kilobytes each.

    A plan may be kept for thousands of sites; what is done is planned again when its turn comes.
    """
    if isinstance(change.do, Clone):
        return replace(change, do=replace(change.do, finish=""))
    if change.key and isinstance(change.do, Shell):
        return replace(change, do=_UNWRITTEN, undo=change.undo and _UNWRITTEN)
    return change


_UNWRITTEN = Shell("")


def plan_sites(
    playbook: Playbook,
    sites: Sequence[Site],
    language: Language,
    transport: Callable[[Host], Transport],
    tags: Sequence[str] = (),
    declare: Declare = undeclared,
    meanwhile: Callable[[], object] = tuple,
) -> Plan:
    """Return the plan for all sites: one round trip a host, nothing written anywhere.

    `meanwhile`: see `ask`.
    """
    wishes = {site.name: wishes_of(playbook, site, language, tags) for site in sites}
    asked = [entry for site in sites for entry in questions_of(wishes[site.name])]
    hosts = dict.fromkeys(entry.host for entry in asked)
    before = {host: transport(host).counters.round_trips for host in hosts}
    answers = ask(asked, transport, declare, meanwhile)
    trips = {
        str(host): transport(host).counters.round_trips - count for host, count in before.items()
    }
    plans = tuple(decide(site, playbook, wishes[site.name], answers) for site in sites)
    return Plan(playbook.name, plans, trips)
