"""JSON Schema (2020-12) of a step kind, rendered from its class.

The schema is the one validator, the editor's completion and the source of the reference pages.
Two dialect rules keep both the editor and our messages clear: never `oneOf`, and wherever a value
may be a `{{ template }}` the type list simply also holds a string that must contain `{{`.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from inspect import cleandoc
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from opsplay.core.step import KINDS, Step
from opsplay.kit.secret import Secret

Schema: TypeAlias = dict[str, Any]

TEMPLATE = r"\{\{"
REFERENCE_TITLE = "secret reference"
_REFERENCE_PATTERN = "^(env|file|command):."

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def kinds() -> dict[str, type[Step[Any]]]:
    """Return every shipped and registered step kind, sorted by its YAML name."""
    _load_steps()
    return dict(sorted(KINDS.items()))


@cache
def _load_steps() -> None:
    from opsplay import steps

    steps.load()


def step_schema(cls: type[Step[Any]]) -> Schema:
    """Return the schema of one step kind's settings."""
    schema = _settings(cls)
    # `- backup:` without settings is fine where no setting is required
    schema["type"] = ["object", "null"]
    return schema


def _settings(cls: type) -> Schema:
    """Return the schema of a dataclass whose fields are declared with `param`."""
    hints = get_type_hints(cls)
    schema: Schema = {"type": "object", "description": cleandoc(cls.__doc__ or "")}
    shown = [one for one in fields(cls) if one.init]
    schema["properties"] = {yaml_name(one): _setting(one, hints[one.name]) for one in shown}
    schema["additionalProperties"] = False
    if required := [yaml_name(one) for one in shown if _is_required(one)]:
        schema["required"] = required
    return schema


def yaml_name(one: Field[Any]) -> str:
    """Return a field's name in YAML: `from_` is written `from`."""
    return one.name.rstrip("_")


def _is_required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _setting(one: Field[Any], hint: Any) -> Schema:
    schema = of_type(hint)
    schema |= one.metadata.get("limits", {})
    schema = or_template(schema)
    if description := one.metadata.get("description", ""):
        schema["description"] = description
    if examples := one.metadata.get("examples", []):
        schema["examples"] = [_json(example) for example in examples]
    if one.default is not MISSING and _is_telling(one.default):
        schema["default"] = _json(one.default)
    return schema


def _is_telling(default: Any) -> bool:
    return default is not None and not isinstance(default, Secret)


def _json(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _json(item) for key, item in value.items()}
        case list() | tuple():
            return [_json(item) for item in value]
        case Secret():
            return {"secret": value.reference}
        case _ if is_dataclass(value):
            return {yaml_name(one): _json(getattr(value, one.name)) for one in fields(value)}
        case _:
            return value


def of_type(hint: Any) -> Schema:
    """Return the schema of a type that a setting may have (see `param`).

    Raises:
        TypeError: no setting may have this type.
    """
    hint = without_none(hint)
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if hint is Secret:
        return secret_schema()
    if isinstance(hint, type) and is_dataclass(hint):
        return _settings(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": or_template(of_type(arguments[0]))}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        values = {} if arguments[1] is Any else or_template(of_type(arguments[1]))
        return {"type": "object", "additionalProperties": values or True}
    msg = f"a setting cannot have the type {hint}"
    raise TypeError(msg)


def without_none(hint: Any) -> Any:
    """Return `X` for `X | None`, and anything else as it is."""
    if get_origin(hint) not in {Union, types.UnionType}:
        return hint
    left = [one for one in get_args(hint) if one is not type(None)]
    return left[0] if len(left) == 1 else hint


def secret_schema(description: str = "") -> Schema:
    """Return the schema of `{secret: "env:NAME"}`, the only way to write a secret."""
    text = "`env:NAME`, `file:PATH` (below the ops repository) or `command:LINE`; never the secret."
    reference = {
        "type": "string",
        "writeOnly": True,  # somebody may have written the secret itself: never shown back
        "pattern": f"{_REFERENCE_PATTERN}|{TEMPLATE}",
        "patternErrorMessage": "must begin with env:, file: or command:",
        "description": text,
        "examples": ["env:S3_SECRET_KEY", "file:.secrets/age.txt", "command:pass show s3/offsite"],
    }
    return {
        "title": REFERENCE_TITLE,
        "description": description or text,
        "type": "object",
        "properties": {"secret": reference},
        "required": ["secret"],
        "additionalProperties": False,
    }


def or_template(schema: Schema) -> Schema:
    """Return the schema, widened so that a `{{ template }}` may stand for the value."""
    if schema.get("title") == REFERENCE_TITLE:
        return schema
    if "enum" in schema:
        choices = {key: schema[key] for key in ("type", "enum") if key in schema}
        rest = {key: value for key, value in schema.items() if key not in choices}
        return rest | {"anyOf": [choices, {"type": "string", "pattern": TEMPLATE}]}
    if schema.get("type") == "string":
        wider = {"pattern": f"(?:{schema['pattern']})|{TEMPLATE}"} if "pattern" in schema else {}
        return schema | wider
    if "type" not in schema:
        return schema
    known = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return schema | {"type": [*known, "string"], "pattern": TEMPLATE}
