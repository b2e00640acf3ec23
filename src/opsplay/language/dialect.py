"""The small set of JSON Schema shapes that the playbook's and the inventory's frames are made of."""

from __future__ import annotations

from opsplay.language.schema import Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENVIRONMENTS = ("production", "staging", "drill")
_TAG = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def text(description: str, *examples: str, pattern: str = "", words: str = "") -> Schema:
    """Return the schema of a text that is not empty; `words` say what `pattern` wants."""
    schema: Schema = {"type": "string", "minLength": 1, "description": description}
    if pattern:
        schema |= {"pattern": pattern, "patternErrorMessage": words}
    if examples:
        schema["examples"] = list(examples)
    return schema


def group(description: str, properties: Schema, *required: str) -> Schema:
    """Return the schema of a group of settings that knows exactly these keys."""
    schema: Schema = {"type": "object", "description": description, "properties": properties}
    return schema | {"required": list(required), "additionalProperties": False}


def free(description: str) -> Schema:
    """Return the schema of a group with keys of the writer's own."""
    return {"type": "object", "description": description, "additionalProperties": True}


def listing(description: str, items: Schema, *, at_least: int = 0) -> Schema:
    """Return the schema of a list."""
    schema: Schema = {"type": "array", "description": description, "items": items}
    return schema | ({"minItems": at_least} if at_least else {})


TAG = text("A tag.", "monthly", pattern=_TAG, words="may hold letters, digits, '.', '_' and '-'")
WHEN: Schema = {
    "type": ["string", "boolean"],
    "description": "A condition, such as `'shop' in site.tags`; where it is false, this is skipped.",
    "examples": ["'shop' in site.tags", "site.language == 'fr'"],
}
