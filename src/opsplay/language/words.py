"""A schema's findings in human words, at their place in the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from opsplay.core.errors import Problem
from opsplay.core.playbook import Place
from opsplay.language import scalars
from opsplay.language.fitting import fits
from opsplay.language.nodes import Node, Path, place_of, place_of_key, plain
from opsplay.language.same import Same
from opsplay.language.schema import REFERENCE_TITLE, TEMPLATE, Schema
from opsplay.language.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of settings (key: value)",
    "null": "empty",
}
_TRUTH = {
    **dict.fromkeys(("yes", "y", "on", "True", "TRUE", "true", "1"), "true"),
    **dict.fromkeys(("no", "n", "off", "False", "FALSE", "false", "0"), "false"),
}
_REFERENCE_HINT = 'write {secret: "env:NAME"}, {secret: "file:PATH"} or {secret: "command:LINE"}'


def problems(root: Node, schema: Schema, above: Path = ()) -> list[Problem]:
    """Return what the schema finds wrong in a document, in the order of the text.

    `above` names the keys that `root` stands under, for the messages.
    """
    data = with_numbers(plain(root), schema)
    if fits(data, schema):
        return []
    found = _validator(Same(schema)).iter_errors(data)
    return sorted({one for error in found for one in _explain(error, root, above)})


@cache
def _validator(schema: Same[Schema]) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema.it)


def with_numbers(data: Any, schema: Any) -> Any:
    """Return `data` with decimal texts as numbers where the schema wants a number."""
    if not isinstance(schema, Mapping):
        return data
    if isinstance(data, str) and "number" in _types(schema):
        number = scalars.decimal(data)
        return data if number is None else number
    if isinstance(data, list):
        return [with_numbers(item, schema.get("items")) for item in data]
    if isinstance(data, dict):
        inner, other = schema.get("properties", {}), schema.get("additionalProperties")
        return {key: with_numbers(item, inner.get(key, other)) for key, item in data.items()}
    return data


def _types(schema: Mapping[str, Any]) -> list[str]:
    wanted = schema.get("type", [])
    return wanted if isinstance(wanted, list) else [wanted]


def _explain(error: ValidationError, root: Node, above: Path) -> Iterator[Problem]:
    path = list(error.absolute_path)
    where, subject = place_of(root, path), _subject([*above, *path])
    if error.validator == "additionalProperties":
        yield from _unknown_keys(error, root, path)
    elif "propertyNames" in error.absolute_schema_path:
        yield _bad_name(error, root, path)
    elif error.validator == "required":
        yield from _missing_keys(error, root, path, above)
    elif _schema(error).get("title") == REFERENCE_TITLE and error.validator == "type":
        rest = "" if error.instance is None else ", never the secret itself"
        yield _problem(where, f"{subject} must be a reference to a secret{rest}", _REFERENCE_HINT)
    elif _schema(error).get("writeOnly"):
        cause = f"the reference in {_subject([*above, *path][:-1])} must begin with env:, file: or command:"
        yield _problem(where, cause, _REFERENCE_HINT)
    else:
        yield _problem(where, *_value(error, subject))


def _schema(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _settings(error: ValidationError) -> Mapping[str, Any]:
    return error.instance if isinstance(error.instance, Mapping) else {}


def _problem(place: Place, cause: str, suggestion: str = "") -> Problem:
    return Problem(place.file, place.line, place.column, cause, suggestion)


def _subject(path: Path) -> str:
    """Return what a message calls the value: `'tags'`, `item 2 of 'tags'`."""
    if not path:
        return "the file"
    last = path[-1]
    if isinstance(last, str):
        return f"'{last}'"
    return f"item {last + 1} of {_subject(path[:-1])}"


def _unknown_keys(error: ValidationError, root: Node, path: list[str | int]) -> Iterator[Problem]:
    known, settings = _schema(error).get("properties", {}), _settings(error)
    for key in settings:
        if key not in known:
            place = place_of_key(root, [*path, key])
            yield _problem(place, f"'{key}' is not known here", did_you_mean(key, known))


def _bad_name(error: ValidationError, root: Node, path: list[str | int]) -> Problem:
    name = str(error.instance)
    cause = f"the name '{name}' {_schema(error).get('patternErrorMessage', 'is not allowed')}"
    return _problem(place_of_key(root, [*path, name]), cause)


def _missing_keys(
    error: ValidationError, root: Node, path: list[str | int], above: Path
) -> Iterator[Problem]:
    place = place_of_key(root, path) if path else place_of(root, path)
    subject = _subject([*above, *path])
    if _schema(error).get("title") == REFERENCE_TITLE:
        yield _problem(place, f"{subject} must be a reference to a secret", _REFERENCE_HINT)
        return
    lacks = [key for key in _schema(error)["required"] if key not in _settings(error)]
    where = f" in {subject}" if path or above else ""
    verb = "is" if len(lacks) == 1 else "are"
    advice = "add " + ", ".join(f"'{key}: …'" for key in lacks)
    yield _problem(place, f"{listed(lacks)} {verb} missing{where}", advice)


def _value(error: ValidationError, subject: str) -> tuple[str, str]:
    """Return cause and suggestion for a value that is there and wrong."""
    schema, value, limit = _schema(error), error.instance, error.validator_value
    keyword = "type" if _is_template_only(error) else str(error.validator)
    if keyword == "type":
        return _wrong_type(subject, schema, value)
    if keyword in {"enum", "anyOf"}:
        return _wrong_choice(subject, schema, value)
    if keyword in _LIMITS:
        return f"{subject} {_LIMITS[keyword].format(limit)}, this is {value}", ""
    if keyword in {"minItems", "minLength", "minProperties"}:
        return f"{subject} must not be empty", _example(schema)
    if keyword == "uniqueItems":
        return f"{subject} names the same thing twice", ""
    words = schema.get("patternErrorMessage", "is not written as it must be")
    return f"{subject} {words}{_shown(schema, value)}", _example(schema)


_LIMITS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
}


def _is_template_only(error: ValidationError) -> bool:
    """Return whether a text is only welcome here as a template, and is none."""
    return error.validator == "pattern" and error.validator_value == TEMPLATE


def _shown(schema: Mapping[str, Any], value: Any) -> str:
    """Return the value for a message; nothing where it might be a secret."""
    return "" if schema.get("writeOnly") else f", this is {_described(value)}"


def _example(schema: Mapping[str, Any]) -> str:
    examples = schema.get("examples", [])
    return f"write for example {_written(examples[0])}" if examples else ""


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_written(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def shorten(text: str, most: int = 60) -> str:
    """Return the text, cut where it is too long for a message.

    >>> shorten("abcdef", most=4)
    'abc…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def _described(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "empty" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"the text '{shorten(value)}'"
    if isinstance(value, int | float):
        return f"the {'whole ' if isinstance(value, int) else ''}number {value}"
    return "a list" if isinstance(value, list) else "a group of settings"


def _wanted(schema: Mapping[str, Any]) -> list[str]:
    """Return the types meant; `string` is only there for templates when the pattern says so."""
    types = _types(schema)
    if schema.get("pattern") == TEMPLATE:
        types = [one for one in types if one != "string"]
    return [one for one in types if one != "null"] or types


def _wrong_type(subject: str, schema: Mapping[str, Any], value: Any) -> tuple[str, str]:
    wanted = _wanted(schema)
    names = " or ".join(_TYPES[one] for one in wanted)
    cause = f"{subject} must be {names}{_shown(schema, value)}"
    return cause, "" if schema.get("writeOnly") else _conversion(wanted, value)


def _conversion(wanted: list[str], value: Any) -> str:
    """Return how the value would have to be written."""
    if value is None:
        return "give it a value or delete the line"
    if "boolean" in wanted and (word := _TRUTH.get(str(value))):
        return f"write {word}"
    if "string" in wanted and isinstance(value, bool | int | float):
        return f'put it in quotes: "{_written(value)}"'
    if "array" in wanted and isinstance(value, str | int):
        return f"write it as a list: [{value}]"
    if {"integer", "number"} & set(wanted) and isinstance(value, str) and value.isdecimal():
        return f"write {value.lstrip('0') or '0'} without quotes or leading zeros"
    return ""


def _wrong_choice(subject: str, schema: Mapping[str, Any], value: Any) -> tuple[str, str]:
    choices = schema.get("enum") or schema["anyOf"][0]["enum"]
    if isinstance(value, str):
        return f"'{value}' is not a choice for {subject}", _choices(value, choices)
    every = ", ".join(map(str, choices))
    return f"{subject} must be one of {every}; this is {_described(value)}", ""


def _choices(value: str, choices: list[Any]) -> str:
    near, every = did_you_mean(value, map(str, choices)), ", ".join(map(str, choices))
    return f"{near} (choices: {every})" if near.startswith("did") else f"choices: {every}"
