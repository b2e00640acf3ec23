"""Whether data fits a schema: yes or no, for the keywords that our schemas use.

The jsonschema library says what is wrong, and where; it costs 60 ms to import. Data that fits, as
nearly all does, never needs it. A law in the tests holds the two to the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from opsplay.language.same import Same

_Test: TypeAlias = Callable[[Any], bool]


def fits(data: Any, schema: Any) -> bool:
    """Return whether `data` fits; never True where jsonschema would object.

    A keyword that is not known here is answered by no: the library then has its say.
    """
    return _whole_test(Same(schema))(data)


@lru_cache(maxsize=64)
def _whole_test(schema: Same[Any]) -> _Test:
    return _test(schema.it)


def _test(schema: Any) -> _Test:
    if isinstance(schema, bool):
        return lambda _data: schema
    tests = [
        _MADE[keyword](value, schema) if keyword in _MADE else _never
        for keyword, value in schema.items()
        if keyword not in _TELLING
    ]
    return lambda data: all(test(data) for test in tests)


def _never(_data: Any) -> bool:
    return False


_TELLING = frozenset({
    "$comment", "$schema", "default", "description", "examples", "patternErrorMessage", "title",
    "writeOnly",
})  # fmt: skip
"""Keywords that tell people something, and forbid nothing."""


def _number(data: Any) -> bool:
    return isinstance(data, int | float) and not isinstance(data, bool)


def _whole(data: Any) -> bool:
    return _number(data) and (isinstance(data, int) or data.is_integer())


_TYPES: Mapping[str, _Test] = {
    "array": lambda data: isinstance(data, list),
    "boolean": lambda data: isinstance(data, bool),
    "integer": _whole,
    "null": lambda data: data is None,
    "number": _number,
    "object": lambda data: isinstance(data, dict),
    "string": lambda data: isinstance(data, str),
}


def _type(wanted: str | Sequence[str], _schema: Any) -> _Test:
    if isinstance(wanted, str):
        return _TYPES[wanted]
    tests = [_TYPES[one] for one in wanted]
    return lambda data: any(test(data) for test in tests)


def _properties(known: Mapping[str, Any], _schema: Any) -> _Test:
    tests = {key: _test(one) for key, one in known.items()}
    return lambda data: (
        not isinstance(data, dict)
        or all(tests[key](value) for key, value in data.items() if key in tests)
    )


def _other_properties(other: Any, schema: Mapping[str, Any]) -> _Test:
    known, test = frozenset(schema.get("properties", {})), _test(other)
    return lambda data: (
        not isinstance(data, dict)
        or all(test(value) for key, value in data.items() if key not in known)
    )


def _each(item: Any, _schema: Any) -> _Test:
    test = _test(item)
    return lambda data: not isinstance(data, list) or all(test(one) for one in data)


def _each_name(name: Any, _schema: Any) -> _Test:
    test = _test(name)
    return lambda data: not isinstance(data, dict) or all(test(one) for one in data)


def _any_of(schemas: Sequence[Any], _schema: Any) -> _Test:
    tests = [_test(one) for one in schemas]
    return lambda data: any(test(data) for test in tests)


def _pattern(text: str, _schema: Any) -> _Test:
    def matches(data: Any) -> bool:
        return not isinstance(data, str) or re.search(text, data) is not None

    return matches


def _unique(wanted: bool, _schema: Any) -> _Test:
    # Whether 1 and true are the same, or two lists, is the library's to say.
    return lambda data: (
        not wanted
        or not isinstance(data, list)
        or (all(isinstance(item, str) for item in data) and len(set(data)) == len(data))
    )


_MADE: Mapping[str, Callable[[Any, Mapping[str, Any]], _Test]] = {
    "additionalProperties": _other_properties,
    "anyOf": _any_of,
    "enum": lambda choices, _: lambda data: isinstance(data, str) and data in choices,
    "exclusiveMaximum": lambda limit, _: lambda data: not _number(data) or data < limit,
    "exclusiveMinimum": lambda limit, _: lambda data: not _number(data) or data > limit,
    "items": _each,
    "maximum": lambda limit, _: lambda data: not _number(data) or data <= limit,
    "minItems": lambda least, _: lambda data: not isinstance(data, list) or len(data) >= least,
    "minLength": lambda least, _: lambda data: not isinstance(data, str) or len(data) >= least,
    "minProperties": lambda least, _: lambda data: not isinstance(data, dict) or len(data) >= least,
    "minimum": lambda limit, _: lambda data: not _number(data) or data >= limit,
    "pattern": _pattern,
    "properties": _properties,
    "propertyNames": _each_name,
    "required": lambda keys, _: (
        lambda data: not isinstance(data, dict) or all(key in data for key in keys)
    ),
    "type": _type,
    "uniqueItems": _unique,
}
"""Keyword → (its value, the whole schema) → what it asks of the data."""
