"""The last act of bringing a database back: whoever asked to be erased goes again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from opsplay.core.erasure import Erasure
from opsplay.core.errors import OpsplayError, StepFailed
from opsplay.core.site import Site
from opsplay.core.transport import Transport
from opsplay.engine.erasures import Ledger, replay
from opsplay.engine.restoring import UNCHANGED


@dataclass(frozen=True)
class Forgetting:
    """What is owed to those who asked to be erased. Made before anything is changed."""

    ledger: Ledger
    since: datetime
    """When the database that comes back was saved."""
    site: Site
    transport: Transport

    def __post_init__(self) -> None:
        """Read the ledger now: if it cannot be relied on, the site is still as it was."""
        try:
            _ = self.owed
        except OpsplayError as error:
            error.state = error.state or UNCHANGED
            raise

    @cached_property
    def owed(self) -> tuple[Erasure, ...]:
        """Return the requests that are to be carried out before the door is opened."""
        return self.ledger.owed(self.since)

    def erase(self) -> int:
        """Carry out what the ledger says by now; return how many requests that were.

        Raises OpsplayError; the caller must not open the site then.
        """
        return len(replay(self.ledger, self.since, self.site, self.transport))

    def erase_and_open(self, *, opening: bool) -> None:
        """Erase, and open the site if it was left closed for that.

        Raises OpsplayError; the site is closed then, unless nothing had been owed at the start.
        """
        self.erase()
        if not (self.owed and opening):
            return
        answer = self.transport.run(self.site.cms.open_to_visitors())
        if not answer.ok:
            raise StepFailed(
                f"the site could not be opened to visitors: {answer.stderr.strip()[-500:]}",
                site=self.site.name,
                state="files and database are restored, erasures carried out; it is still closed",
            )
