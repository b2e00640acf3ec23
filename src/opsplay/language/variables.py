"""`vars:`, `vars_files:` and `--extra-vars`: values that are computed once, when files are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opsplay.core.errors import InvalidInput, Problem
from opsplay.language import scalars, templates
from opsplay.language.nodes import Fields, Items, Node, Scalar, placed, plain
from opsplay.language.problems import say
from opsplay.language.scopes import RESERVED


def computed(
    node: Node | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Return the variables of a `vars` group with their templates computed, and the mistakes.

    Templates may use `given` (which wins over variables of the same name) and variables above.
    """
    known: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in node.values.items() if isinstance(node, Fields) else ():
        place = node.keys[name] if isinstance(node, Fields) else value.place
        if not name.isidentifier() or name in RESERVED:
            hint = "use letters, digits and '_'" if name not in RESERVED else "use another name"
            problems.append(say(place, f"a variable cannot be called '{name}'", hint))
        result, wrong = rendered(value, {**known, **given})
        known[name] = plain(result)
        problems.extend(wrong)
    return known, tuple(problems)


def rendered(node: Node, scope: Mapping[str, Any]) -> tuple[Node, tuple[Problem, ...]]:
    """Return the node with every template in it computed, and what could not be."""
    match node:
        case Items(items=items):
            pairs = [rendered(item, scope) for item in items]
            return Items(tuple(new for new, _ in pairs), node.place), _joined(pairs)
        case Fields(values=values):
            pairs = [rendered(value, scope) for value in values.values()]
            new = dict(zip(values, (one for one, _ in pairs), strict=True))
            return Fields(new, node.keys, node.place), _joined(pairs)
        case Scalar(value=str() as text):
            return _scalar(text, node, scope)
        case _:
            return node, ()


def _joined(pairs: Iterable[tuple[Node, tuple[Problem, ...]]]) -> tuple[Problem, ...]:
    return tuple(problem for _, problems in pairs for problem in problems)


def _scalar(text: str, node: Scalar, scope: Mapping[str, Any]) -> tuple[Node, tuple[Problem, ...]]:
    try:
        return placed(templates.render(text, scope, node.place), node.place), ()
    except InvalidInput as error:
        return node, error.problems


def read_extra_vars(items: Iterable[str]) -> dict[str, Any]:
    """Return `--extra-vars` items (`name=value`) as variables; values mean what they do in YAML.

    Raises:
        InvalidInput: an item has no `=` or no usable name.

    >>> read_extra_vars(["to=8.10", "retries=2"])
    {'to': '8.10', 'retries': 2}
    """
    result: dict[str, Any] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier() or name in RESERVED:
            msg = f"--extra-vars {item!r} is not of the form name=value"
            raise InvalidInput(msg)
        result[name] = scalars.meaning(value)
    return result
