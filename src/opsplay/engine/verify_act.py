"""The act of verifying a site's backups, as a step of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opsplay.core.action import Verify
from opsplay.core.errors import InvalidInput, StepFailed
from opsplay.core.verdict import LISTED
from opsplay.engine.context import Context
from opsplay.engine.outcome import Outcome
from opsplay.engine.store_act import stoppable
from opsplay.engine.upkeep import Upkeep
from opsplay.engine.verify import Verified
from opsplay.kit.wording import counted, size

_MOST = 12
"""Damaged objects that are named; the verdicts beside the backups name all."""


def verify(context: Context, action: Verify) -> Outcome:
    """Verify, and return how deep each backup was found whole.

    Raises:
        StepFailed: something is damaged; each object is named.
        InvalidInput: what the level needs is not configured.
        Unreachable: the storage, or at level 3 the host.
    """
    site = context.site.name
    found = upkeep_of(context).verify(action.level, sample=action.sample)
    if found.good:
        deep = [one.snap for one in found.verdicts if one.level > LISTED]
        return Outcome(_whole(found, deep), {"verified": len(found.verdicts), "deep": deep})
    wrong = [*map(str, found.damage)]
    wrong += [str(one) for verdict in found.verdicts for one in verdict.damage]
    bad = [one.snap for one in found.verdicts if not one.good]
    raise StepFailed(
        f"{counted(len(bad), 'backup')} of {len(found.verdicts)} damaged: {_named(wrong)}",
        site=site,
        state="each verdict is signed and lies beside its backup; nothing was deleted",
        next_command=f"invoke backups {site}",
    )


def upkeep_of(context: Context) -> Upkeep:
    """Return the upkeep of the site of a run; who stops the run at once, stops it."""
    tools = context.tools
    if tools.upkeep is None:
        raise InvalidInput("nothing verifies or expires backups here")
    return replace(tools.upkeep(context.site), progress=stoppable(tools))


def foreseen(upkeep: Upkeep, level: int) -> str:
    """Return what a verification would look at."""
    found = upkeep.known()
    told = f"{counted(len(found.backups), 'backup')} listed"
    if level == LISTED:
        return told
    deep = found.newest(upkeep.trust)
    names = " ".join(one.snapshot.snap for one in deep) or "none"
    fetched = size(sum(one.snapshot.stored_bytes for one in deep))
    return f"{told}; read through: {names}; {fetched} to fetch"


def _whole(found: Verified, deep: Sequence[str]) -> str:
    if not found.verdicts:
        return "no backups to verify"
    level = max(one.level for one in found.verdicts)
    read = f", {', '.join(deep)} at level {level}" if deep else ""
    return f"{counted(len(found.verdicts), 'backup')} whole at level {LISTED}{read}"


def _named(wrong: Sequence[str]) -> str:
    more = [f"and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
    return "\n".join([*wrong[:_MOST], *more])
