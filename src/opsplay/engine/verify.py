"""Verify backups by levels, and give signed verdicts.

`core.verdict` has what each level means. A verdict names every object that is not as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opsplay.core.errors import InvalidInput
from opsplay.core.retention import verdict_locked_until
from opsplay.core.snapshot import Snapshot
from opsplay.core.vault import Vault
from opsplay.core.verdict import COMPARED, LISTED, READ, WORD, Backup, Damage, Verdict
from opsplay.engine.signature import SUFFIX, Signer
from opsplay.engine.snapshots import MANIFEST
from opsplay.engine.trust import Trust
from opsplay.engine.verify_chain import broken_links, gone
from opsplay.engine.verify_known import Known, known, with_locks, write_verdict
from opsplay.engine.verify_listing import listing
from opsplay.engine.verify_read import Reading, read_through
from opsplay.kit.clock import Clock

_OFTEN = timedelta(hours=20)

Compare = Callable[[Snapshot], tuple[tuple[Damage, ...], str]]
"""Level 3: compares a backup with the living site; returns damage, and how much was looked at."""


@dataclass(frozen=True)
class Verified:
    """What a verification of a site's backups gave."""

    site: str
    verdicts: tuple[Verdict, ...]
    """One for each backup that was looked at, oldest first."""
    damage: tuple[Damage, ...] = ()
    """What concerns no single backup: a manifest that cannot be read, a broken chain."""

    @property
    def good(self) -> bool:
        """Return whether nothing was found."""
        return not self.damage and all(one.good for one in self.verdicts)


@dataclass(frozen=True)
class Verification:
    """How to verify the backups of one site."""

    vault: Vault
    site: str
    clock: Clock
    signer: Signer | None
    """Signs the verdicts; None: none are kept."""
    trusted: Collection[str]
    reading: Reading | None = None
    """Needed from level 2 on."""
    compare: Compare | None = None
    """Needed for level 3."""

    def at(self, level: int, snap: str = "") -> Verified:
        """Verify at a level, and at all below it.

        At level 1 all backups are looked at; above, the newest of each environment. `snap`: only
        this one.

        Raises:
            InvalidInput: no such level, or what it needs is not configured.
            VaultRefused: there is no such backup.
            Unreachable: the storage, or at level 3 the host.
        """
        if not LISTED <= level <= COMPARED:
            raise InvalidInput(f"--level {level}: levels to verify at are 1, 2 and 3")
        found = known(self.vault, self.site, self.trusted)
        chosen = with_locks(self.vault, (found.find(snap),) if snap else found.backups)
        missing = listing(self.vault, chosen)
        broken = () if snap else links(self.vault, found, self.trusted)
        newest = chosen if snap else found.newest(self._trust)
        deep = {one.snapshot.key for one in newest}
        verdicts = tuple(
            self._kept(
                one, self._verdict(one, missing, level if one.snapshot.key in deep else LISTED)
            )
            for one in chosen
        )
        return Verified(self.site, verdicts, (*found.damage, *broken))

    @property
    def _trust(self) -> Trust:
        return Trust(self.trusted, self.clock.now())

    def _unsigned(self, one: Backup) -> tuple[Damage, ...]:
        """Return the missing or foreign signature; without any key to trust, none is asked for."""
        if self._trust.believes(one):
            return ()
        what = "is missing, or not by a key that this controller trusts"
        return (Damage(one.snapshot.key + SUFFIX, what),)

    def _verdict(
        self, one: Backup, missing: Mapping[str, tuple[Damage, ...]], level: int
    ) -> Verdict:
        segments = len(one.snapshot.segments)
        verdict = Verdict(
            site=self.site,
            snap=one.snapshot.snap,
            manifest_sha256=one.manifest_sha256,
            level=LISTED,
            at=self.clock.now(),
            damage=(*self._unsigned(one), *missing[one.snapshot.key]),
            looked_at=f"{segments} objects, {one.snapshot.stored_bytes / 1e6:.1f} MB",
        )
        for deeper in range(READ, level + 1):
            if not verdict.good:
                break  # what is missing or damaged need not be fetched
            damage, words = self._looked(deeper, one.snapshot)
            verdict = replace(verdict, level=deeper, damage=damage, looked_at=words)
        return replace(verdict, at=self.clock.now())

    def _looked(self, level: int, snapshot: Snapshot) -> tuple[tuple[Damage, ...], str]:
        if level == READ and self.reading:
            return read_through(self.reading, snapshot)
        if level == COMPARED and self.compare:
            return self.compare(snapshot)
        raise InvalidInput(f"level {level} cannot be verified here")

    def _kept(self, one: Backup, verdict: Verdict) -> Verdict:
        """Store the verdict: at level 1 once a day, or it would fill the vault with small objects."""
        before = [it for it in one.verdicts if (it.level, it.good) == (verdict.level, verdict.good)]
        recent = any(verdict.at - it.at < _OFTEN for it in before)
        if self.signer and not (recent and verdict.level == LISTED):
            until = verdict_locked_until(verdict.at, one.lock)
            write_verdict(self.vault, one.snapshot.folder, verdict, self.signer, until)
        return verdict


def links(vault: Vault, found: Known, trusted: Collection[str]) -> tuple[Damage, ...]:
    """Return the broken links of the chain, and the manifests that somebody hid.

    A signature of nothing is what a seal leaves that was cut short, and no damage, unless the
    storage still has a manifest below it.
    """
    seals = {key for key in found.objects if MANIFEST.match(key.removesuffix(SUFFIX))}
    alone = sorted({key.removesuffix(SUFFIX) for key in seals} - seals)
    what = "is hidden: its signature is seen, and the storage still has it"
    hidden = tuple(Damage(key, what) for key in alone if _held(vault, key))
    written = gone(vault, found.site, found.objects.keys(), trusted)
    return (*hidden, *broken_links(found.backups, written))


def _held(vault: Vault, key: str) -> bool:
    return any(one.key == key for one in vault.versions(key))


def give_word(vault: Vault, one: Backup, signer: Signer, at: datetime, who: str) -> Verdict:
    """Store a person's word that a suspect backup is no damage; older ones may then go again."""
    verdict = Verdict(one.snapshot.site, one.snapshot.snap, one.manifest_sha256, WORD, at, by=who)
    (held,) = with_locks(vault, (one,))
    until = verdict_locked_until(at, held.lock)
    write_verdict(vault, one.snapshot.folder, verdict, signer, until)
    return verdict
