"""Checks that need the playbook and the inventory: does it fit the sites it is for?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Declaration, Inventory, Place, Playbook, Stage
from opsplay.core.site import Site
from opsplay.language import templates, text
from opsplay.language.build import build_step, is_true, names_needed
from opsplay.language.nodes import place_of
from opsplay.language.problems import best_at_each_place, not_rehearsed, say
from opsplay.language.scopes import scope
from opsplay.language.sites import select_sites
from opsplay.language.suggest import did_you_mean

_IN_VAULT = {
    "backup": "to back up to",
    "verify_backups": "whose backups could be verified",
    "expire_backups": "whose backups could expire",
}


def check_together(playbook: Playbook, inventory: Inventory, limit: str = "") -> tuple[Site, ...]:
    """Return the sites that the playbook is for, narrowed by `limit`.

    Every step is built for every site, but for those that need a result of an earlier step.

    Raises:
        InvalidInput: with every mistake found, at its place in the playbook.
    """
    try:
        sites = select_sites(inventory, playbook.sites, "")
    except InvalidInput as error:
        at = _place_of_sites(playbook)
        raise InvalidInput([say(at, *str(error).split("; ", 1))]) from error
    if limit:
        sites = select_sites(inventory, playbook.sites, limit)
    found = best_at_each_place(problem for site in sites for problem in _problems(playbook, site))
    if found:
        raise InvalidInput(found)
    return sites


def _place_of_sites(playbook: Playbook) -> Place:
    root = text.parse(playbook.text, playbook.file).root
    return place_of(root, ["sites"]) if root else Place(playbook.file, 1, 1)


def _problems(playbook: Playbook, site: Site) -> Iterator[Problem]:
    """Find what is wrong with the playbook for one site."""
    known = scope(playbook, site)
    results: set[str] = set()
    later = {step.register for stage in playbook.stages for step in stage.steps} - {""}
    for stage in playbook.stages:
        if stage.environment not in site.environments:
            if not _is_skipped(stage, known, later):
                yield _no_environment(stage, site)
            continue
        for declaration in stage.steps:
            yield from _step(stage, declaration, known, results, later)
            results |= {declaration.register} - {""}
        yield from _vault(stage, site)
        yield from _computed_rehearsals(playbook, stage, known)


def _is_skipped(stage: Stage, known: Mapping[str, Any], later: set[str]) -> bool:
    """Return whether it is clear already that a stage's condition does not hold for the site."""
    try:
        needs = templates.expression_names(stage.when, stage.place) if stage.when else set()
        return not needs & later and not is_true(stage.when, known, stage.place)
    except InvalidInput:
        return False  # the steps' own check reports it


def _computed_rehearsals(
    playbook: Playbook, stage: Stage, known: Mapping[str, Any]
) -> Iterator[Problem]:
    """Find `to: "{{ … }}"` that comes out as `rehearsed` where nothing was rehearsed."""
    earlier = playbook.stages[: playbook.stages.index(stage)]
    held = {
        step.kind for one in earlier if one.environment != stage.environment for step in one.steps
    }
    for step in stage.steps:
        written, at = str(step.settings.get("to", "")), step.places.get("to", step.place)
        if templates.has_template(written) and step.kind not in held:
            try:
                value = templates.render(written, known, at)
            except InvalidInput:
                continue  # building the step reports it
            if value == "rehearsed":
                yield say(at, *not_rehearsed(step.kind))


def _no_environment(stage: Stage, site: Site) -> Problem:
    have = ", ".join(sorted(site.environments))
    cause = f"stage '{stage.name}' works on {stage.environment}, which site {site.name} lacks"
    hint = did_you_mean(stage.environment, site.environments) if have else ""
    advice = hint if hint.startswith("did") else f"add it to the site, which has: {have}"
    return say(stage.place, cause, advice)


def _vault(stage: Stage, site: Site) -> Iterator[Problem]:
    for declaration in stage.steps:
        if declaration.kind in _IN_VAULT and not site.vault:
            cause = f"site {site.name} has no vault {_IN_VAULT[declaration.kind]}"
            yield say(declaration.place, cause, "add 'vault: NAME' to the site")


def _step(
    stage: Stage,
    declaration: Declaration,
    known: Mapping[str, Any],
    results: set[str],
    later: set[str],
) -> Iterator[Problem]:
    """Build one step, unless it waits for a result or its condition is false."""
    needs = _names(stage, declaration)
    for name in sorted((needs & later) - results):
        cause = f"'{name}' is registered only later"
        yield say(declaration.place, cause, "move this step behind the one that registers it")
    if needs & later:
        return
    try:
        if all(is_true(one, known, at) for one, at in _conditions(stage, declaration)):
            build_step(declaration, known)
    except InvalidInput as error:
        yield from error.problems or [say(declaration.place, str(error))]


def _conditions(stage: Stage, declaration: Declaration) -> Iterator[tuple[str, Place]]:
    yield stage.when, stage.place
    yield declaration.when, declaration.places.get("@when", declaration.place)


def _names(stage: Stage, declaration: Declaration) -> set[str]:
    """Return the variables that a step's settings and conditions need."""
    needs: set[str] = set()
    for condition, place in _conditions(stage, declaration):
        needs |= templates.expression_names(condition, place) if condition else set()
    return needs | names_needed(declaration)
