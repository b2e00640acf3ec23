"""What the journal keeps of a change, and what a later step of its kind may count on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsplay.core.action import to_data
from opsplay.core.change import Change


def brief(change: Change) -> dict[str, str]:
    """Return a change in words and versions, for the journal."""
    return {
        "what": change.what,
        "before": change.before,
        "after": change.after,
        "key": change.key,
        "version": change.version,
        "package": change.package,
    }


def intent_of(change: Change, number: int, attempt: int, environment: str) -> dict[str, Any]:
    """Return what is journalled before a change is made; `number`: its place in the step, from 0."""
    return {
        "change": number,
        "attempt": attempt,
        **brief(change),
        "loses": change.loses,
        "covered": change.covered,
        "environment": environment,
        "action": to_data(change.do),
        "undo": to_data(change.undo) if change.undo else None,
    }


def brief_of(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the brief that an intent in the journal holds."""
    names = ("what", "before", "after", "key", "version", "package")
    return {name: str(data[name]) for name in names}


def with_hash(brief: dict[str, str], facts: Mapping[str, Any]) -> dict[str, str]:
    """Return a change with its package pinned to the very bytes that were used."""
    if brief["package"] and "sha256" in facts and "#" not in brief["package"]:
        return {**brief, "package": f"{brief['package']}#sha256={facts['sha256']}"}
    return brief
