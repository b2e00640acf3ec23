"""Whether restore drills are held as often as the client was promised (`drill_every`). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsplay.core.retention import months_later

EVERY = "drill_every"
"""The promise's name in the inventory."""
GRACE = timedelta(days=1)
"""How late a drill may be: it takes its time, and what starts it may have been off."""
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class DrillPromise:
    """What a client was promised, and what is known of it."""

    every: str
    """`week`, `month`, `quarter` or `year`."""
    last: datetime | None
    """When the last successful drill ended; None: none is known."""
    since: datetime | None
    """From when on drills were possible; None: longer than anybody can tell."""

    @property
    def due(self) -> datetime | None:
        """Return when a drill has to be over at the latest; None: long ago."""
        begin = self.last or self.since
        if begin is None:
            return None
        if self.every == "week":
            return begin + timedelta(weeks=1) + GRACE
        return months_later(begin, _MONTHS[self.every]) + GRACE

    def overdue(self, now: datetime) -> bool:
        """Return whether the promise is broken."""
        return self.due is None or self.due < now

    def told(self, now: datetime) -> str:
        """Return it in a sentence.

        >>> now = datetime(2026, 11, 22)
        >>> DrillPromise("quarter", datetime(2026, 7, 1), None).told(now)
        'last successful drill 144 days ago, promised every quarter'
        """
        return f"{self._last(now)}, promised every {self.every}"

    def _last(self, now: datetime) -> str:
        if self.last is None:
            return "no successful drill yet"
        days = (now - self.last).days
        when = {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")
        return f"last successful drill {when}"
