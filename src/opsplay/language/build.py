"""A declaration and a scope to a step: render, validate, construct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Declaration, Place
from opsplay.core.step import Step
from opsplay.kit.secret import Secret
from opsplay.language import secrets, templates, words
from opsplay.language.nodes import Fields, Items, Node, Scalar, placed, plain
from opsplay.language.schema import Schema, kinds, step_schema, without_none, yaml_name


def build_step(
    declaration: Declaration, scope: Mapping[str, Any], *, repository: Path = Path()
) -> Step[Any]:
    """Return the step that a declaration makes in this scope.

    `repository` is what `file:` secrets are relative to.

    Raises:
        InvalidInput: with every setting that is wrong, at its place in the playbook.
    """
    settings = _rendered(declaration, scope)
    if found := words.problems(settings, _schema_of(declaration.kind), (declaration.kind,)):
        raise InvalidInput(found)
    data = words.with_numbers(plain(settings), _schema_of(declaration.kind))
    try:
        step: Step[Any] = construct(_kind(declaration.kind), data, repository)
    except (TypeError, ValueError) as error:
        at = declaration.place
        cause = f"'{declaration.kind}' cannot be made of these settings: {error}"
        raise InvalidInput([Problem(at.file, at.line, at.column, cause)]) from error
    return step


def is_true(when: str, scope: Mapping[str, Any], place: Place | None = None) -> bool:
    """Return whether a `when` holds in this scope; the empty one always does.

    Raises:
        InvalidInput: it uses a variable that is not there, or cannot be computed.
    """
    return templates.is_true(when, scope, place or Place("when", 1, 1))


def _kind(name: str) -> type[Step[Any]]:
    known = kinds()
    if name not in known:
        msg = f"no step kind {name!r} (known: {', '.join(known)})"
        raise InvalidInput(msg)
    return known[name]


@cache
def _schema_of(kind: str) -> Schema:
    return step_schema(_kind(kind)) | {"type": "object"}


def _rendered(declaration: Declaration, scope: Mapping[str, Any]) -> Fields:
    """Return the settings with every template computed, at their places in the playbook."""
    problems: list[Problem] = []
    values: dict[str, Node] = {}
    places: dict[str, Place] = {}
    for key, value in declaration.settings.items():
        places[key] = declaration.places.get(f"{key}:", declaration.place)
        values[key] = _node(value, (key,), declaration, scope, problems)
    if problems:
        raise InvalidInput(problems)
    return Fields(values, places, declaration.place)


def _node(
    value: Any,
    path: tuple[str, ...],
    declaration: Declaration,
    scope: Mapping[str, Any],
    problems: list[Problem],
) -> Node:
    place = declaration.places.get(".".join(path), declaration.place)
    match value:
        case Mapping():
            inner = {
                key: _node(item, (*path, key), declaration, scope, problems)
                for key, item in value.items()
            }
            keys = {
                key: declaration.places.get(".".join((*path, key)) + ":", place) for key in inner
            }
            return Fields(inner, keys, place)
        case list() | tuple():
            listed = (
                _node(item, (*path, str(index)), declaration, scope, problems)
                for index, item in enumerate(value)
            )
            return Items(tuple(listed), place)
        case str():
            return _scalar(value, scope, place, problems)
        case _:
            return Scalar(value, place)


def _scalar(text: str, scope: Mapping[str, Any], place: Place, problems: list[Problem]) -> Node:
    try:
        return placed(templates.render(text, scope, place), place)
    except InvalidInput as error:
        problems.extend(error.problems)
        return Scalar(text, place)


def construct(cls: type, data: Mapping[str, Any], repository: Path) -> Any:
    """Return an instance of a dataclass declared with `param`, from validated plain data."""
    hints = get_type_hints(cls)
    named = {yaml_name(one): one.name for one in fields(cls)}
    arguments = {
        named[key]: _converted(value, hints[named[key]], repository) for key, value in data.items()
    }
    return cls(**arguments)


def _converted(value: Any, hint: Any, repository: Path) -> Any:
    """Return plain data as the type a field declares."""
    hint = without_none(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Secret:
        return secrets.secret(value["secret"], repository)
    if hint is float:
        return float(value)
    if origin is tuple:
        return tuple(_converted(item, arguments[0], repository) for item in value)
    if isinstance(hint, type) and is_dataclass(hint):
        return construct(hint, value, repository)
    if origin is not Literal and isinstance(origin, type) and issubclass(origin, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
