"""A declaration and a scope to a step: render, validate, construct."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Declaration, Place
from opsplay.core.step import Step
from opsplay.kit.secret import Secret
from opsplay.language import secrets, templates, words
from opsplay.language.fitting import fits
from opsplay.language.nodes import Fields, Items, Node, Scalar, placed, plain
from opsplay.language.same import Same
from opsplay.language.schema import Schema, kinds, step_schema, without_none, yaml_name


def build_step(
    declaration: Declaration, scope: Mapping[str, Any], *, repository: Path = Path()
) -> Step[Any]:
    """Return the step that a declaration makes in this scope.

    `repository` is what `file:` secrets are relative to.

    Raises:
        InvalidInput: with every setting that is wrong, at its place in the playbook.
    """
    needed = names_needed(declaration)
    if needed <= scope.keys():
        used = repr([scope[name] for name in sorted(needed)])
        return _built(Same(declaration), _Seen(used, scope), str(repository))
    return _build(declaration, scope, repository)


def names_needed(declaration: Declaration) -> frozenset[str]:
    """Return the variables that a declaration's settings use.

    Raises:
        InvalidInput: a template in them cannot be read.
    """
    return _names_needed(Same(declaration))


@lru_cache(maxsize=1024)
def _names_needed(declaration: Same[Declaration]) -> frozenset[str]:
    return frozenset(_named(declaration.it.settings, declaration.it.place))


def _named(value: Any, place: Place) -> Iterator[str]:
    if isinstance(value, str):
        yield from templates.names(value, place) if templates.has_template(value) else ()
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _named(item, place)


@dataclass(frozen=True)
class _Seen:
    """A scope, as far as a declaration sees it."""

    used: str
    """The values of the variables that its templates use, written out."""
    scope: Mapping[str, Any] = field(compare=False)


@lru_cache(maxsize=4096)
def _built(declaration: Same[Declaration], seen: _Seen, repository: str) -> Step[Any]:
    # Read, checked and planned: each needs the step, and most steps are the same for every site.
    return _build(declaration.it, seen.scope, Path(repository))


def _build(declaration: Declaration, scope: Mapping[str, Any], repository: Path) -> Step[Any]:
    settings, schema = _rendered(declaration, scope), _schema_of(declaration.kind)
    data = words.with_numbers(plain(settings), schema)
    if not fits(data, schema) and (found := words.problems(settings, schema, (declaration.kind,))):
        raise InvalidInput(found)
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
    hints = _hints(cls)
    named = {yaml_name(one): one.name for one in fields(cls)}
    arguments = {
        named[key]: _converted(value, hints[named[key]], repository) for key, value in data.items()
    }
    return cls(**arguments)


@cache
def _hints(cls: type) -> Mapping[str, Any]:
    return get_type_hints(cls)


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
