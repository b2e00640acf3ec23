"""The frame around the steps: what a playbook looks like, as JSON Schema.

The texts here are what the editor shows and what docs/reference prints.
"""

from __future__ import annotations

from opsplay.language.dialect import DIALECT, ENVIRONMENTS, TAG, WHEN, free, group, listing, text
from opsplay.language.schedules import schedule_schema
from opsplay.language.schema import Schema, kinds, step_schema
from opsplay.language.waits import window_schema


def step_frame() -> Schema:
    """Return the settings that every step has, whatever its kind."""
    return {
        "name": text("What the run shows for this step.", "Update the shop"),
        "when": WHEN,
        "tags": listing("For `--tags`.", TAG),
        "retries": {
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "default": 0,
            "description": "How often to try again after a failure.",
            "examples": [2],
        },
        "delay": {
            "type": "number",
            "minimum": 0,
            "maximum": 3600,
            "default": 5,
            "description": "Seconds before the first new try; doubles each time.",
            "examples": [10, 0.5],
        },
        "register": text(
            "A variable for later templates: what this step found or did.",
            "updated",
            pattern="^[a-z_][a-z0-9_]*$",
            words="must be a name of small letters, digits and '_'",
        ),
    }


def step_item() -> Schema:
    """Return one item of `steps`: exactly one kind (checked in code) and the frame."""
    described = {name: step_schema(cls) for name, cls in kinds().items()}
    return {
        "type": "object",
        "description": "One step: its kind with its settings, and what all steps may have.",
        "properties": {**described, **step_frame()},
        "additionalProperties": False,
        "minProperties": 1,
    }


def stage_item() -> Schema:
    """Return one item of `stages`."""
    properties = {
        "name": text("What the run shows for this stage.", "Rehearse"),
        "environment": {
            "enum": list(ENVIRONMENTS),
            "default": "production",
            "description": "Where the steps work; each site needs an environment of this name.",
        },
        "prepares": text(
            "Name of a later stage. Where that one has nothing to change, this one is not run.",
            "Publish",
        ),
        "maintenance": {
            "type": "boolean",
            "default": False,
            "description": "Keep visitors out while the stage changes the site; they are always "
            "let in again.",
        },
        "on_failure": {
            "enum": ["stop", "rollback"],
            "default": "stop",
            "description": "`rollback` puts the site back as it was before the stage; "
            "needs `maintenance: true`, so that nobody writes meanwhile.",
        },
        "window": window_schema(),
        "tags": listing("For `--tags`; they hold for every step of the stage.", TAG),
        "when": WHEN,
        "steps": listing("The steps, in order.", step_item(), at_least=1),
    }
    return group("A group of steps on one environment.", properties, "name", "steps")


def serial_schema() -> Schema:
    """Return `serial`: one batch size or a list of them."""
    pattern = "^([1-9][0-9]*|[1-9][0-9]?%|100%)$"
    words = "must be a number of sites (1 or more) or a share from 1% to 100%"
    size: Schema = {
        "type": ["integer", "string"],
        "minimum": 1,
        "pattern": pattern,
        "patternErrorMessage": words,
    }
    return size | {
        "type": ["integer", "string", "array"],
        "items": size,
        "minItems": 1,
        "description": "How many sites at a time: numbers or shares; the last one repeats. "
        "`[1, 25%]` sends one site ahead.",
        "examples": [[1, "25%"], 5],
    }


def fleet_schema() -> Schema:
    """Return the settings for many sites: who comes first, and how many at a time."""
    return {
        "order": {
            "enum": ["inventory", "reverse_inventory", "risk"],
            "default": "inventory",
            "description": "Which sites come first. `inventory`: by name. `risk`: those first where "
            "a failure would harm least, by the site's plan and by what would change.",
            "examples": ["risk"],
        },
        "per_host": {
            "type": "integer",
            "minimum": 1,
            "maximum": 100,
            "default": 4,
            "description": "How many sites of one host are changed at the same time.",
            "examples": [1],
        },
        "forks": {
            "type": "integer",
            "minimum": 1,
            "maximum": 500,
            "default": 16,
            "description": "How many sites are at work at the same time; `--forks` wins.",
            "examples": [50],
        },
    }


def playbook_schema() -> Schema:
    """Return the schema of a playbook, with every step kind there is."""
    properties: Schema = {
        "name": text("What this playbook does, in a few words.", "Monthly update, rehearsed"),
        "sites": {
            "type": "string",
            "minLength": 1,
            "default": "all",
            "description": "Which sites: `all`, `tag:NAME`, names, `*` wildcards and `!not`, "
            "joined by commas.",
            "examples": ["tag:monthly", "shop-*,!shop-old"],
        },
        "serial": serial_schema(),
        "max_fail_percentage": {
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "default": 100,
            "description": "When more than this share of a batch has failed, no new batch begins.",
            "examples": [0, 12.5],
        },
        **fleet_schema(),
        "schedule": schedule_schema(),
        "vars": free("Variables for templates. A site's own `vars` and `--extra-vars` win."),
        "stages": listing("The stages, in order.", stage_item(), at_least=1),
    }
    frame = group("An opsplay playbook.", properties, "name", "stages")
    return {"$schema": DIALECT, "title": "opsplay playbook"} | frame
