"""The line of batches: who may go on, after what became of those before. Pure.

Nobody overtakes: a site goes no further in the playbook than the sites of the batches before it
have come. When too many of them failed, nobody behind them begins anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from opsplay.core.errors import ExitStatus
from opsplay.core.event import State
from opsplay.core.playbook import Stage
from opsplay.engine.batches import too_many

_ASKING = frozenset({"approve", "notify"})
"""Kinds of steps that only ask or tell people: nobody need wait for another site's answer."""
_NO_FAILURE = frozenset({ExitStatus.DONE, ExitStatus.WAITING, ExitStatus.INTERRUPTED})
_NAMED = 5


@dataclass(frozen=True)
class SiteResult:
    """How a run ended for one site."""

    site: str
    state: State
    exit_status: ExitStatus
    detail: str = ""
    stage: str = ""
    """Where it waits, when it does."""

    @property
    def waits(self) -> bool:
        """Return whether the site waits for people or for an hour: neither passed nor failed."""
        return self.exit_status == ExitStatus.WAITING

    @property
    def failed(self) -> bool:
        """Return whether the site counts as failed; one that nobody could reach does, too."""
        return self.exit_status not in _NO_FAILURE


@dataclass(frozen=True)
class Line:
    """What the sites so far allow to those behind them; at first, everything."""

    stopped: str = ""
    """Why nothing may begin any more; empty: the line moves."""
    failed: tuple[str, ...] = ()
    """The sites that stopped it."""
    told: bool = False
    """Whether the journal says already that it stopped."""
    waits: str = ""
    """Why nobody goes further than `until`; empty: nobody waits."""
    until: int | None = None
    """Index of the first stage that those behind must not begin."""

    def holds(self, stage: int) -> str:
        """Return why a site must not begin a stage now; empty: it may."""
        held = self.until is not None and stage >= self.until
        return self.stopped or (self.waits if held else "")

    def behind(self, results: Iterable[SiteResult], stages: Sequence[Stage]) -> Line:
        """Return the line for the next batch, after one that did not stop it."""
        waiting = [one for one in results if one.waits]
        if not waiting:
            return self
        first = min(waiting, key=lambda one: _gate(stages, one.stage))
        until = _gate(stages, first.stage)
        if self.until is not None and self.until <= until:
            return self
        place = f" before {first.stage}" if first.stage else ""
        reason = f"its turn comes after {_names([one.site for one in waiting])}, waiting{place}"
        return replace(self, waits=reason, until=until)

    def stopped_by(self, failed: Sequence[str], size: int, max_fail_percentage: float) -> Line:
        """Return the line after these sites of a batch of `size` failed: stopped, or as it was."""
        if self.stopped or not too_many(len(failed), size, max_fail_percentage):
            return self
        reason = f"the line stopped: {len(failed)} of {size} failed ({_names(failed)})"
        return replace(self, stopped=reason, failed=tuple(failed))


def _gate(stages: Sequence[Stage], waiting_at: str) -> int:
    """Return the first stage, from the one where a site waits, that does more than ask people."""
    names = [stage.name for stage in stages]
    start = names.index(waiting_at) if waiting_at in names else 0
    for index in range(start, len(stages)):
        if not {step.kind for step in stages[index].steps} <= _ASKING:
            return index
    return len(stages)


def _names(sites: Sequence[str]) -> str:
    more = f" and {len(sites) - _NAMED} more" if len(sites) > _NAMED else ""
    return ", ".join(sites[:_NAMED]) + more
