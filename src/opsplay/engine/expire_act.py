"""The act of taking backups away whose time is over, as a step of a run."""

from __future__ import annotations

from opsplay.core.errors import StepFailed
from opsplay.engine.context import Context
from opsplay.engine.expire import Expired, Expiry
from opsplay.engine.outcome import Outcome
from opsplay.engine.upkeep import Upkeep
from opsplay.engine.verify_act import upkeep_of
from opsplay.kit.wording import counted, size

_MOST = 12
"""Names that a plan shows."""


def expire(context: Context) -> Outcome:
    """Delete what the site's plan no longer keeps, and return what went.

    Raises:
        StepFailed: something has to be looked at; what could go is gone.
        InvalidInput: the vault names no second credential; nothing was deleted.
        Unreachable: the storage; what is left goes the next time.
    """
    upkeep = upkeep_of(context)
    expiry = upkeep.expiry()
    expired = upkeep.expire(expiry)
    if remarks := (*expiry.remarks, *map(str, expired.refused)):
        site = context.site.name
        raise StepFailed(
            "\n".join(remarks),
            site=site,
            state=_told(expiry, expired),
            next_command=f"invoke backups.expire {site} --check",
        )
    facts = {
        "expired": list(expired.backups),
        "objects": expired.objects,
        "bytes": expired.bytes,
    }
    return Outcome(_told(expiry, expired), facts, changed=bool(expired.objects))


def foreseen(upkeep: Upkeep) -> str:
    """Return what would go now."""
    expiry = upkeep.expiry()
    names = [one.snapshot.snap for one in expiry.going]
    going = f"{len(names)} of {counted(len(expiry.backups), 'backup')}"
    named = f": {' '.join(names[:_MOST])}{' …' if names[_MOST:] else ''}" if names else ""
    rest = f"{counted(len(expiry.objects), 'object')} of {size(expiry.bytes)}"
    return "; ".join([f"now {going}{named}", rest, *expiry.remarks])


def _told(expiry: Expiry, expired: Expired) -> str:
    gone = len(expired.backups)
    kept = f"{counted(len(expiry.backups) - gone, 'backup')} kept"
    if not expired.objects:
        return f"nothing is over; {kept}"
    objects = f"{counted(expired.objects, 'object')} of {size(expired.bytes)}"
    return f"{counted(gone, 'backup')} gone, {objects}; {kept}"
