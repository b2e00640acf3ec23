"""The upkeep of one site's backups: verified, and taken away when their time is over.

The verbs `backups.verify` and `backups.expire` and the steps `verify_backups` and `expire_backups`
all come through here. The site's own hosts are asked at level 3 alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from opsplay.core.environment import Host
from opsplay.core.event import Progress
from opsplay.core.retention import Plan, plan_named
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.core.verdict import Damage
from opsplay.engine.expire import Expired, Expiry, carry_out, planned
from opsplay.engine.signature import Signer
from opsplay.engine.snapshots import entries
from opsplay.engine.store_survey import hashes, survey
from opsplay.engine.trust import Trust
from opsplay.engine.verify import Verification, Verified
from opsplay.engine.verify_known import Known, known
from opsplay.engine.verify_read import Reading
from opsplay.engine.verify_spot import Spot
from opsplay.kit.clock import Clock

_HUNDRED = 100


@dataclass(frozen=True)
class Upkeep:
    """One site, its vault, and who may do what there."""

    site: Site
    vault: Vault
    settings: VaultSettings
    """With the keys of the site's client."""
    deleter: Callable[[], Vault]
    """Opens the vault with the second credential, the only one that may delete."""
    signer: Callable[[VaultSettings], Signer]
    """Vault → what signs verdicts, and records of what expired."""
    keys: Callable[[VaultSettings], Collection[str]]
    """Vault → public keys whose signatures count."""
    transport: Callable[[Host], Transport]
    clock: Clock
    progress: Progress

    @property
    def plan(self) -> Plan:
        """Return how long the site's backups are kept."""
        return plan_named(self.site.plan, self.site.keep_years)

    @property
    def trusted(self) -> Collection[str]:
        """Return the public keys whose signatures count."""
        return self.keys(self.settings)

    @property
    def trust(self) -> Trust:
        """Return which backups count."""
        return Trust(self.trusted, self.clock.now())

    def known(self) -> Known:
        """Return what the vault tells of the backups."""
        return known(self.vault, self.site.name, self.trusted)

    def verify(self, level: int, snap: str = "", sample: int = _HUNDRED) -> Verified:
        """Verify, and keep signed verdicts; see `Verification.at`.

        `sample`: per cent of the inherited packs that level 2 looks into.
        """
        here, share = self.transport(Host("local")), sample / _HUNDRED
        signer = self.signer(self.settings)  # first: where no key was trusted yet, its own now is
        return Verification(
            vault=self.vault,
            site=self.site.name,
            clock=self.clock,
            signer=signer,
            trusted=self.trusted,
            reading=Reading(self.vault, self.settings, here, self.clock, self.progress, share),
            compare=self._compared,
        ).at(level, snap)

    def expiry(self) -> Expiry:
        """Return what may go now, and what stays. Only looks."""
        now = self.clock.now()
        return planned(
            self.vault, self.deleter(), self.site.name, self.plan, self.trusted, now
        )  # fmt: skip

    def expire(self, expiry: Expiry) -> Expired:
        """Delete what may go."""
        signer = self.signer(self.settings)
        return carry_out(expiry, self.vault, self.deleter(), signer, self.clock.now())

    def _compared(self, snapshot: Snapshot) -> tuple[tuple[Damage, ...], str]:
        """Compare a backup with the living site it was taken from."""
        if snapshot.index is None:
            return (), "it holds no list of files: not compared with the site"
        site = self.site.at(snapshot.environment)
        transport, root = self.transport(site.here.host), site.here.root
        left_out = site.cms.files_left_out(snapshot.source.excludes)
        living = survey(transport, root, left_out, site.name)
        saved = entries(self.vault, snapshot, self.settings)
        spot = Spot.of(snapshot.index.segment.key, saved, living.entries)
        sampled = spot.sample()
        return spot.judged(sampled, hashes(transport, root, sampled, site.name))
