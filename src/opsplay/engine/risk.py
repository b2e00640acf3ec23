"""Which site comes first: the one where a failure would harm least, and why, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from opsplay.core.action import Store
from opsplay.core.change import Change
from opsplay.core.version import same_series
from opsplay.engine.plan import SitePlan

CANARY = "canary"
"""Tag of a site that goes ahead of all others, whatever its plan."""

_PLANS = ("essentiel", "business", "critique")
_PRODUCTION = "production"
_OTHER, _MODULE, _PATCH, _MINOR, _MAJOR = range(1, 6)


@dataclass(frozen=True, order=True)
class Risk:
    """Sorts sites by what a failure would cost; `reason` says it in a few words."""

    turn: int
    """0: marked as canary; 1: has something to change; 2: has nothing; 3: could not be planned.

    A site without a change proves nothing to those behind it, so it does not go ahead."""
    plan: int
    size: int
    count: int
    reason: str = field(default="", compare=False)


def risk_of(plan: SitePlan) -> Risk:
    """Return how much is at stake on a site: its plan, then the largest change to production."""
    site = plan.site
    importance = _PLANS.index(site.plan) if site.plan in _PLANS else len(_PLANS)
    if plan.error is not None:
        return Risk(3, importance, 0, 0, f"{site.plan}, could not be planned")
    if not plan.pending:
        return Risk(2, importance, 0, 0, f"{site.plan}, nothing to change")
    changes = list(_changes(plan))
    largest = max(changes, key=_size, default=None)
    size = _OTHER if largest is None else _size(largest)
    marked = [CANARY] if CANARY in site.tags else []
    reason = ", ".join([*marked, site.plan, *_told(largest, len(changes))])
    return Risk(0 if marked else 1, importance, size, len(changes), reason)


def _changes(plan: SitePlan) -> Iterator[Change]:
    """Yield what would change production; a backup changes nothing there."""
    for stage in plan.stages:
        if stage.pending and stage.stage.environment == _PRODUCTION:
            for step in stage.steps:
                if step.pending:
                    yield from (one for one in step.changes if not isinstance(one.do, Store))


def _size(change: Change) -> int:
    if change.key != "core":
        return _MODULE if change.key.startswith("module:") else _OTHER
    if not same_series(change.before, change.after, 1):
        return _MAJOR
    return _PATCH if same_series(change.before, change.after, 2) else _MINOR


def _told(largest: Change | None, count: int) -> Iterator[str]:
    if largest is not None:
        versions = largest.key and largest.before and largest.after
        yield f"{largest.what} {largest.before} → {largest.after}" if versions else largest.what
    if count > 1:
        yield f"{count - 1} more"
