"""The template engine itself: Jinja2, sandboxed. Imported when the first template is met."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.exceptions import SecurityError, TemplateError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Place
from opsplay.language.suggest import did_you_mean

_WHOLE = re.compile(r"\s*\{\{[-+]?(.*?)[-+]?\}\}\s*", re.DOTALL)
_LARGEST = 10_000
"""Longest text or list that `*` may make, and highest exponent."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """No private attributes, no changes to values, no memory bombs."""

    intercepted_binops = frozenset(["*", "**"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        grows = any(isinstance(one, str | list | tuple) for one in (left, right))
        size = max((abs(one) for one in (left, right) if isinstance(one, int)), default=0)
        if (operator == "**" or grows) and size > _LARGEST:
            msg = f"the result of '{operator}' is too large"
            raise SecurityError(msg)
        return super().call_binop(context, operator, left, right)


_SANDBOX = _Sandbox(undefined=StrictUndefined, keep_trailing_newline=True)
_SANDBOX.globals.clear()
_FAILURES = (
    TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError,
    RecursionError, MemoryError,
)  # fmt: skip


def names(text: str, place: Place) -> frozenset[str]:
    """Return the variables that a template needs. Raises InvalidInput: it cannot be read."""
    found: frozenset[str] = _checked(_names, text, place)
    return found


def value(text: str, scope: Mapping[str, Any], place: Place) -> Any:
    """Return what a template comes to. Raises InvalidInput: it cannot be computed."""
    return _checked(lambda one: _render(one, scope), text, place, scope)


@lru_cache(maxsize=512)
def _names(text: str) -> frozenset[str]:
    return frozenset(meta.find_undeclared_variables(_SANDBOX.parse(text)))


@lru_cache(maxsize=512)
def _compiled(text: str) -> Any:
    """Return a function from scope to value: an expression where the text is nothing else."""
    body = _SANDBOX.parse(text).body
    alone = len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1
    whole = _WHOLE.fullmatch(text)
    if alone and whole and not isinstance(body[0].nodes[0], nodes.TemplateData):  # type: ignore[attr-defined]  # seen to be Output above
        return _SANDBOX.compile_expression(whole[1].strip(), undefined_to_none=False)
    return _SANDBOX.from_string(text).render


def _render(text: str, scope: Mapping[str, Any]) -> Any:
    value = _compiled(text)(dict(scope))
    if isinstance(value, Undefined):
        str(value)  # a strict undefined raises here, with the name of what is missing
    return value


def _checked(
    act: Callable[[str], Any], text: str, place: Place, scope: Mapping[str, Any] | None = None
) -> Any:
    try:
        return act(text)
    except _FAILURES as error:
        cause, suggestion = _explain(error, scope or {})
        problem = Problem(place.file, place.line, place.column, cause, suggestion)
        raise InvalidInput([problem]) from error


def _explain(error: BaseException, scope: Mapping[str, Any]) -> tuple[str, str]:
    message = str(getattr(error, "message", None) or error)
    match error:
        case UndefinedError():
            return _undefined(message, scope)
        case SecurityError():
            return f"a template may not do this: {message}", ""
        case TemplateSyntaxError():
            return f"this template cannot be read: {_syntax(message)}", ""
        case _:
            return f"this template cannot be computed: {message or type(error).__name__}", ""


def _syntax(message: str) -> str:
    if "got 'end of template'" in message or "unexpected end of template" in message:
        return "a '{{' is not closed with '}}'"
    if message.startswith("Expected an expression, got 'end of print"):
        return "there is nothing between '{{' and '}}'"
    if message.startswith("No filter named"):
        return f"no filter is called {message.removeprefix('No filter named ').rstrip('.')}"
    if message.startswith("unexpected 'end of"):
        return "it ends too early"
    if "'end of print statement'" in message:
        return f"{message.rpartition('got ')[2]} is not expected there"
    return message


def _undefined(message: str, scope: Mapping[str, Any]) -> tuple[str, str]:
    found = re.search(r"no attribute '([^']+)'|'([^']+)' is undefined", message)
    if not found:
        return f"a template uses something that is not there: {message}", ""
    missing = found[1] or found[2]
    known = sorted(_inner(scope) if found[1] else scope)
    return f"the variable '{missing}' is not defined", did_you_mean(missing, known)


def _inner(scope: Mapping[str, Any]) -> set[str]:
    groups = [one for one in scope.values() if isinstance(one, Mapping)]
    return {str(key) for group in groups for key in group}
