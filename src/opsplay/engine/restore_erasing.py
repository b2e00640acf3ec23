"""The last act of a restore: whoever asked to be erased goes again, then visitors are let in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from opsplay.core.erasure import Erasure
from opsplay.core.errors import OpsplayError, StepFailed
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.erasures import Ledger, replay
from opsplay.engine.restore_fetch import UNCHANGED
from opsplay.engine.restore_plan import Plan


@dataclass(frozen=True)
class Forgetting:
    """What a restore owes to those who asked to be erased. Made before anything is changed."""

    snapshot: Snapshot
    site: Site
    transport: Transport
    vault: Vault
    settings: VaultSettings
    trusted: tuple[str, ...]
    plan: Plan

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
        if not self._database:
            return ()
        ledger = Ledger(self.snapshot.site, self.vault, self.settings, self.trusted)
        return ledger.owed(self.snapshot)

    def erase_and_open(self, *, opening: bool) -> None:
        """Carry out what the ledger says by now, and open the site if it was left closed for that.

        Raises OpsplayError; the site is closed then, unless nothing had been owed at the start.
        """
        if not self._database:
            return
        replay(
            self.snapshot, self.site, self.transport, self.vault, self.settings, self.trusted
        )  # fmt: skip
        if not (self.owed and opening):
            return
        answer = self.transport.run(self.site.cms.open_to_visitors())
        if not answer.ok:
            raise StepFailed(
                f"the site could not be opened to visitors: {answer.stderr.strip()[-500:]}",
                site=self.site.name,
                state="files and database are restored, erasures carried out; it is still closed",
            )

    @property
    def _database(self) -> bool:
        return self.plan.part("database")
