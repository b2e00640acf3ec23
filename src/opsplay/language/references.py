"""Templates that only name values, `{{ site.name }}`: read without the template engine.

Most templates are nothing else, and importing the engine costs more than reading the playbook.
Whatever is not as plain as that is left to the engine; a law holds both to the same values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

Parts: TypeAlias = tuple[str | tuple[str, ...], ...]
"""Texts as they are, and the paths of names between them: `("from ", ("site", "name"), ".")`."""

_NAMED = re.compile(r"\{\{ *([A-Za-z]\w*(?:\.[A-Za-z]\w*)*) *\}\}", re.ASCII)
_MEANING_MORE = re.compile(r"\{[{%#]|[%#}]\}|\r|^\}|\{\Z")
"""Marks of the engine, what would make longer ones, and line ends that it would make others of."""
_WORDS = frozenset(
    [
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
        "not",
        "and",
        "or",
        "if",
        "else",
        "elif",
        "is",
        "in",
        "for",
        "recursive",
        "self",
        "loop",
        "caller",
        "varargs",
        "kwargs",
        "super",
    ]
)
"""Names that are no variables to the engine, or not ours."""


@lru_cache(maxsize=1024)
def parts(text: str) -> Parts | None:
    """Return the parts of a template that only names values; None for any other."""
    found: list[str | tuple[str, ...]] = []
    for number, part in enumerate(_NAMED.split(text)):
        path = tuple(part.split("."))
        if number % 2 == 0:
            if _MEANING_MORE.search(part):
                return None
            found.append(part)
        elif _WORDS & set(path):
            return None
        else:
            found.append(path)
    return tuple(found)


def names(text: str) -> frozenset[str] | None:
    """Return the variables that a template needs; None when the engine has to say."""
    known = parts(text)
    if known is None:
        return None
    return frozenset(part[0] for part in known if isinstance(part, tuple))


def value(text: str, scope: Mapping[str, Any]) -> str | None:
    """Return what a template comes to; None when the engine has to say, or to complain."""
    known = parts(text)
    if known is None:
        return None
    texts = [part if isinstance(part, str) else _found(part, scope) for part in known]
    return None if None in texts else "".join(text for text in texts if text is not None)


def _found(path: tuple[str, ...], scope: Mapping[str, Any]) -> str | None:
    value: Any = scope
    for name in path:
        # What a plain mapping has by itself (`items`), the engine finds first.
        if (type(value) is not dict and value is not scope) or hasattr(dict, name):
            return None
        if name not in value:
            return None
        value = value[name]
    return value if type(value) is str else None
