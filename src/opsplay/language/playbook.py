"""Playbook text to model, with every mistake that shows without an inventory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from typing import Any

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Declaration, Place, Playbook, Stage
from opsplay.language import schedules, templates, text, waits, words
from opsplay.language.nodes import (
    Fields,
    Items,
    Node,
    Path,
    Scalar,
    fields_at,
    find,
    items_at,
    place_of_key,
    plain,
    scalars,
    text_at,
)
from opsplay.language.problems import best_at_each_place, not_rehearsed, say
from opsplay.language.schema import Schema, kinds
from opsplay.language.scopes import RESERVED
from opsplay.language.shape import playbook_schema, step_frame
from opsplay.language.suggest import did_you_mean
from opsplay.language.variables import computed


@cache
def _schema() -> Schema:
    return playbook_schema()


def parse_playbook(
    source: str, file: str, extra_vars: Mapping[str, Any]
) -> tuple[Playbook | None, tuple[Problem, ...]]:
    """Return the playbook and nothing, or None and every mistake."""
    document = text.parse(source, file)
    if document.root is None:
        return None, document.problems
    root = _with_empty_settings(document.root)
    values, unknown = computed(find(root, ("vars",)), extra_vars)
    found = best_at_each_place(
        chain(
            document.problems,
            _kinds(root),
            unknown,
            _stages(root),
            _templates(root),
            _registers(root),
            schedules.problems(root),
        ),
        words.problems(root, _schema()),
    )
    if found:
        return None, found
    data = words.with_numbers(plain(root), _schema())
    return _playbook(root, data, source, {**values, **extra_vars}), ()


def _with_empty_settings(root: Fields) -> Fields:
    """Return the document with `- backup:` read as `- backup: {}`."""
    known = kinds()

    def step(node: Node) -> Node:
        if not isinstance(node, Fields):
            return node
        values = {
            key: Fields({}, {}, node.keys[key]) if _is_empty(one) and key in known else one
            for key, one in node.values.items()
        }
        return Fields(values, node.keys, node.place)

    return _each_step(root, step)


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _each_step(root: Fields, change: Any) -> Fields:
    def listed(node: Node | None, act: Any) -> Node | None:
        if isinstance(node, Items):
            return Items(tuple(act(item) for item in node.items), node.place)
        return node

    def within(node: Node, key: str, act: Any) -> Node:
        if not isinstance(node, Fields) or key not in node.values:
            return node
        new = listed(node.values[key], act)
        return Fields({**node.values, key: new or node.values[key]}, node.keys, node.place)

    result = within(root, "stages", lambda stage: within(stage, "steps", change))
    return result if isinstance(result, Fields) else root


def steps_of(root: Node) -> Iterator[tuple[Path, Node]]:
    """Yield every step item with its path."""
    for stage in range(len(items_at(root, "stages"))):
        for index, step in enumerate(items_at(root, "stages", stage, "steps")):
            yield ("stages", stage, "steps", index), step


def _kinds(root: Fields) -> Iterator[Problem]:
    """Find items with no kind, an unknown one, or two."""
    known, frame = kinds(), step_frame()
    for path, step in steps_of(root):
        if not isinstance(step, Fields):
            continue
        named = [key for key in step.values if key in known]
        other = [key for key in step.values if key not in known and key not in frame]
        for key in other if named else other[1:]:
            hint = did_you_mean(key, [*known, *frame] if not named else frame)
            yield say(step.keys[key], f"'{key}' is not known here", hint)
        if not named and other:
            cause = f"'{other[0]}' is not a step kind"
            yield say(step.keys[other[0]], cause, did_you_mean(other[0], known))
        elif not named:
            yield say(step.place, "this step has no kind", f"one of: {', '.join(known)}")
        for key in named[1:]:
            cause = f"two step kinds in one item: '{named[0]}' and '{key}'"
            yield say(place_of_key(root, [*path, key]), cause, f"begin a new item: '- {key}: …'")


def _stages(root: Fields) -> Iterator[Problem]:
    """Find stage names used twice, `prepares` that point nowhere, missing rehearsals."""
    stages = items_at(root, "stages")
    names = [text_at(stage, "name") or "" for stage in stages]
    for index, stage in enumerate(stages):
        if names[index] and names[index] in names[:index]:
            place = place_of_key(root, ["stages", index, "name"])
            yield say(place, f"two stages are called '{names[index]}'", "give one another name")
        yield from _prepares(stage, names[index], names[index + 1 :])
        yield from _rehearsals(stage, stages[:index])
        yield from _rollbacks(stage)
        yield from waits.problems(stage, stages[:index], stages[index + 1 :])


def _prepares(stage: Node, name: str, later: list[str]) -> Iterator[Problem]:
    target, node = text_at(stage, "prepares"), find(stage, ("prepares",))
    if target and node and target not in later:
        what = "itself" if target == name else f"'{target}', which is no later stage"
        hint = _later(target, later)
        yield say(node.place, f"this stage prepares {what}", hint)


def _later(target: str, later: list[str]) -> str:
    near = did_you_mean(target, later)
    if near.startswith("did") or not later:
        return near or "a stage can only prepare one that comes after it"
    return f"later stages: {', '.join(later)}"


def _rehearsals(stage: Node, earlier: tuple[Node, ...]) -> Iterator[Problem]:
    """Find `to: rehearsed` without an earlier step of that kind on another environment."""
    here = text_at(stage, "environment") or "production"
    held = {
        kind
        for one in earlier
        if (text_at(one, "environment") or "production") != here
        for step in items_at(one, "steps")
        for kind in fields_at(step)
    }
    for step in items_at(stage, "steps"):
        for kind in fields_at(step):
            node = find(step, (kind, "to"))
            if node and text_at(step, kind, "to") == "rehearsed" and kind not in held:
                yield say(node.place, *not_rehearsed(kind))


def _rollbacks(stage: Node) -> Iterator[Problem]:
    """Find `on_failure: rollback` where visitors may write while the stage is at work."""
    node, maintenance = find(stage, ("on_failure",)), find(stage, ("maintenance",))
    closed = isinstance(maintenance, Scalar) and maintenance.value is True
    if node and text_at(stage, "on_failure") == "rollback" and not closed:
        cause = "rollback puts the database back, which would lose what visitors wrote meanwhile"
        yield say(node.place, cause, "add 'maintenance: true' to the stage")


def _templates(root: Fields) -> Iterator[Problem]:
    """Find templates and conditions that cannot be read."""
    for stage in items_at(root, "stages"):
        yield from _condition(find(stage, ("when",)))
    for _, step in steps_of(root):
        yield from _condition(find(step, ("when",)))
        for kind in kinds():
            settings = find(step, (kind,))
            for _, scalar in scalars(settings) if settings else ():
                if isinstance(scalar.value, str) and templates.has_template(scalar.value):
                    yield from _caught(templates.names, scalar.value, scalar.place)


def _condition(node: Node | None) -> Iterator[Problem]:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        yield from _caught(templates.expression_names, node.value, node.place)


def _caught(act: Any, value: str, place: Place) -> tuple[Problem, ...]:
    try:
        act(value, place)
    except InvalidInput as error:
        return error.problems
    return ()


def _registers(root: Fields) -> Iterator[Problem]:
    """Find result names that are taken."""
    taken = {*RESERVED, *fields_at(root, "vars")}
    for _, step in steps_of(root):
        name, node = text_at(step, "register"), find(step, ("register",))
        if name and node and name in taken:
            yield say(node.place, f"the name '{name}' is taken", "register another name")
        taken.add(name or "")


def _playbook(root: Fields, data: dict[str, Any], source: str, values: dict[str, Any]) -> Playbook:
    serial = data.get("serial", [])
    return Playbook(
        name=data["name"],
        stages=tuple(_stage(root, index, one) for index, one in enumerate(data["stages"])),
        sites=data.get("sites", "all"),
        serial=tuple(str(one) for one in (serial if isinstance(serial, list) else [serial])),
        max_fail_percentage=float(data.get("max_fail_percentage", 100)),
        order=data.get("order", "inventory"),
        per_host=data.get("per_host", 4),
        forks=data.get("forks", 0),
        schedule=schedules.schedule_of(data.get("schedule")),
        vars=values,
        file=root.place.file,
        text=source,
    )


def _stage(root: Fields, index: int, data: dict[str, Any]) -> Stage:
    path = ("stages", index)
    steps = (
        _declaration(find(root, (*path, "steps", number)), one)
        for number, one in enumerate(data["steps"])
    )
    return Stage(
        name=data["name"],
        steps=tuple(steps),
        environment=data.get("environment", "production"),
        prepares=data.get("prepares", ""),
        maintenance=data.get("maintenance", False),
        on_failure=data.get("on_failure", "stop"),
        window=waits.window_of(data.get("window")),
        tags=tuple(data.get("tags", ())),
        when=_when(data),
        place=place_of_key(root, path),
    )


def _when(data: dict[str, Any]) -> str:
    """Return a condition as text; `when: false` is one too."""
    return str(data.get("when", ""))


def _declaration(node: Node | None, data: dict[str, Any]) -> Declaration:
    kind = next(key for key in data if key in kinds())
    settings = find(node, (kind,))
    return Declaration(
        kind=kind,
        settings=data[kind],
        name=data.get("name", ""),
        when=_when(data),
        tags=tuple(data.get("tags", ())),
        retries=data.get("retries", 0),
        delay=float(data.get("delay", 5.0)),
        register=data.get("register", ""),
        place=node.place if node else Place("", 1, 1),
        places=_known_places(node, settings),
    )


def _known_places(node: Node | None, settings: Node | None) -> dict[str, Place]:
    when = find(node, ("when",))
    return ({"@when": when.place} if when else {}) | dict(_places(settings) if settings else ())


def _places(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Place]]:
    """Yield `path` → place of the value and `path:` → place of the key, for all below `node`."""
    yield ".".join(path), node.place
    for index, item in enumerate(items_at(node)):
        yield from _places(item, (*path, str(index)))
    for key, value in fields_at(node).items():
        yield ".".join((*path, key)) + ":", place_of_key(node, [key])
        yield from _places(value, (*path, key))
