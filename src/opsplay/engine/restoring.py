"""What every part of a restore works with, in one hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from opsplay.core.errors import StepFailed
from opsplay.core.event import Progress
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.erasures import Ledger
from opsplay.kit.clock import Clock

Way: TypeAlias = Literal["direct", "relay"]
"""From the storage to the host by itself, or through the controller."""
UNCHANGED = "the site is as it was: nothing had been changed yet"


def _silent(_site: str, _what: str, _done: float, _total: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Restoring:
    """One snapshot on its way out of a vault into the environment that the site is seen from."""

    snapshot: Snapshot
    site: Site
    transport: Transport
    vault: Vault
    settings: VaultSettings
    """Of the vault, with the site's keys (`keys.keyed`)."""
    clock: Clock
    trusted: tuple[str, ...] = ()
    """Public keys that may have signed the manifest and the ledger of erasures; empty: any."""
    progress: Progress = _silent

    @property
    def ledger(self) -> Ledger:
        """Return who asked to be erased from this site."""
        return Ledger(self.snapshot.site, self.vault, self.settings, self.trusted)

    def refused(self, what: str, next_command: str = "") -> StepFailed:
        """Return the error that ends the restore before anything is changed."""
        return StepFailed(what, site=self.site.name, state=UNCHANGED, next_command=next_command)
