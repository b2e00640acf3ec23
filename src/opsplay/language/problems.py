"""Mistakes, collected."""

from __future__ import annotations

from collections.abc import Iterable

from opsplay.core.errors import Problem
from opsplay.core.playbook import Place


def say(place: Place, cause: str, suggestion: str = "") -> Problem:
    """Return a mistake at a place."""
    return Problem(place.file, place.line, place.column, cause, suggestion)


def best_at_each_place(
    known: Iterable[Problem], schema: Iterable[Problem] = ()
) -> tuple[Problem, ...]:
    """Return mistakes in the order of the text, each once.

    What the schema finds is left out where a check that knows the trade has said it already.
    """
    kept = set(known)
    said = {(one.file, one.line, one.column) for one in kept}
    return tuple(
        sorted(kept | {one for one in schema if (one.file, one.line, one.column) not in said})
    )


def not_rehearsed(kind: str) -> tuple[str, str]:
    """Return cause and suggestion for `to: rehearsed` with nothing to go by."""
    cause = f"no earlier stage on another environment has a '{kind}' to go by"
    return cause, f"add a stage with 'environment: staging' and '{kind}' before this one"
