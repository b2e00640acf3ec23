"""Restore drills as the journal tells them: what was measured, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from opsplay.core.event import Event
from opsplay.kit.wording import about
from opsplay.reports.ink import Ink

_INDENT = "    "
_MOST = 12


Drills: TypeAlias = tuple[Mapping[str, Any], ...]


def with_drill(drills: Drills, event: Event) -> Drills:
    """Return the drills with what an event says of the last one, or of another."""
    if event.kind == "drill_measured":
        return (*drills, event.data)
    return (*drills[:-1], {**(drills[-1] if drills else {}), **event.data})


def measured(data: Mapping[str, Any]) -> str:
    """Return what a drill measured, beside what was promised."""
    aims = (("back after", "rto"), ("data", "rpo"))
    if data["restore"] != "restored":
        return f"restore {data['restore']} after {about(float(data['seconds']))}"
    return ", ".join(_beside(word, data[name], name) for word, name in aims)


def _beside(word: str, promise: Mapping[str, Any], name: str) -> str:
    old = " old" if name == "rpo" else ""
    aim = promise["promised"]
    told = f" (promised {about(float(aim))})" if aim is not None else ""
    return f"{word} {about(float(promise['measured']))}{old}{told}"


def verdict(data: Mapping[str, Any]) -> str:
    """Return the verdict, and where the certificate lies."""
    return f"verdict {data['verdict']}, certificate {data['certificate']}"


def reasons(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a drill did not succeed, one a line."""
    told = [str(one) for one in data["reasons"]]
    more = [f"and {len(told) - _MOST} more, in the certificate"] if len(told) > _MOST else []
    return tuple(told[:_MOST] + more)


def drilled(data: Mapping[str, Any]) -> Iterator[Ink]:
    """Yield the lines of a drill for the end of a run; `data`: of both events, as far as known."""
    yield Ink(f"{_INDENT}drill of {data['snapshot']}: {measured(data)}")
    if "verdict" in data:
        yield Ink(f"{_INDENT}{verdict(data)}")
