"""`{{ templates }}`: Jinja2, sandboxed, with undefined variables refused.

A value that is nothing but one `{{ expression }}` keeps the expression's type (a list stays a
list, and the text `8.10` stays a text); everything else becomes text. Where nothing is a template,
or all of them only name texts, the engine is never imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsplay.core.playbook import Place
from opsplay.language import references

_MARKS = ("{{", "{%", "{#")


def has_template(text: str) -> bool:
    """Return whether `text` holds anything for the template engine."""
    return any(mark in text for mark in _MARKS)


def names(text: str, place: Place) -> frozenset[str]:
    """Return the variables that a template needs.

    Raises:
        InvalidInput: the template cannot be read.
    """
    if (known := references.names(text)) is not None:
        return known
    from opsplay.language import sandbox

    return sandbox.names(text, place)


def expression_names(text: str, place: Place) -> frozenset[str]:
    """Return the variables that a `when` needs. Raises InvalidInput as `names` does."""
    return names(_as_template(text), place)


def render(text: str, scope: Mapping[str, Any], place: Place) -> Any:
    """Return the value of a text that may hold templates.

    Raises:
        InvalidInput: a variable is not there, or the template cannot be computed.
    """
    if not has_template(text):
        return text
    if (plain := references.value(text, scope)) is not None:
        return plain
    from opsplay.language import sandbox

    return sandbox.value(text, scope, place)


def is_true(text: str, scope: Mapping[str, Any], place: Place) -> bool:
    """Return whether a `when` holds; the empty one always does. Raises as `render` does."""
    if not text.strip():
        return True
    from opsplay.language import sandbox

    return bool(sandbox.value(_as_template(text), scope, place))


def _as_template(expression: str) -> str:
    return expression if has_template(expression) else "{{" + expression + "}}"
