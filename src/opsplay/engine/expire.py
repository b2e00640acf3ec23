"""Take away the backups whose time is over, with the one credential that may delete.

Judged by the storage's own dates and locks and by signed verdicts alone (`core.retention`). A
manifest goes before anything it names, and all its versions oldest first: whenever this is cut
short, no backup is listed of which something is missing, and the next expiry takes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from opsplay.core.errors import VaultRefused
from opsplay.core.retention import Fate, Plan
from opsplay.core.vault import StoredObject, Vault
from opsplay.core.verdict import Backup, Damage
from opsplay.engine.expire_sweep import Going, Sweep, Unclear, unclear
from opsplay.engine.signature import Signer
from opsplay.engine.snapshots import MANIFEST
from opsplay.engine.verify_chain import Gone, gone, write_record
from opsplay.engine.verify_known import known, with_fates, with_locks


@dataclass(frozen=True)
class Expiry:
    """What an expiry would take away, and what stays, each with its reason."""

    site: str
    backups: tuple[Backup, ...]
    """All that are sealed, oldest first, each with its fate."""
    objects: tuple[Going, ...]
    """What goes after the manifests, in this order."""
    locked: tuple[Going, ...] = ()
    """What nobody needs, and the storage has locked still."""
    unclear: tuple[Unclear, ...] = ()
    """Manifests that cannot be trusted: everything in their month stays until somebody looks."""
    unknown: tuple[str, ...] = ()
    """Keys that no opsplay writes; they are left alone."""
    manifests: Mapping[str, tuple[StoredObject, ...]] = field(default_factory=dict)
    """Manifest key → its versions and marks of deletion, oldest first."""

    @property
    def going(self) -> tuple[Backup, ...]:
        """Return the backups that go."""
        return tuple(one for one in self.backups if one.fate and not one.fate.stays)

    @property
    def bytes(self) -> int:
        """Return how many bytes go, the manifests left out."""
        return sum(one.version.bytes for one in self.objects)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what a person has to look at."""
        doubts = [f"{one.damage}: everything of its month stays" for one in self.unclear]
        strange = [f"{key} is not opsplay's, and is left alone" for key in self.unknown]
        return (*doubts, *strange)


@dataclass(frozen=True)
class Expired:
    """What an expiry did."""

    site: str
    backups: tuple[str, ...]
    """Names of the backups that are gone."""
    objects: int
    """Versions that were deleted, manifests included."""
    bytes: int
    refused: tuple[Damage, ...] = ()
    """What the storage would not delete; the backups they belong to were left whole."""


def planned(
    reader: Vault,
    deleter: Vault,
    site: str,
    plan: Plan,
    trusted: Collection[str],
    now: datetime,
) -> Expiry:
    """Return what may go now. Only looks.

    Args:
        reader: the vault with the daily credential.
        deleter: the same with the second one, which sees all versions.
        site: its name.
        plan: the site's.
        trusted: public keys whose signatures count; without any, nothing ever goes.
        now: the controller's time, which is only compared with the storage's dates.
    """
    versions = _versions(deleter, site)
    since = {key: min(map(_stored, every)) for key, every in versions.items()}
    found = known(reader, site, trusted, since=since)
    doubts = unclear(found, versions, plan, now)
    judged = with_fates(with_locks(reader, found.backups), plan, now)
    backups = tuple(_spared(one, doubts) for one in judged)
    sweep = Sweep(
        versions=versions,
        staying=tuple(one for one in backups if one.fate and one.fate.stays),
        going=tuple(one for one in backups if one.fate and not one.fate.stays),
        unclear=doubts,
        records=gone(reader, site, versions.keys(), trusted),
        plan=plan,
        now=now,
    )
    free, locked = _by_lock(sweep.objects(), reader, now)
    return Expiry(
        site=site,
        backups=backups,
        objects=free,
        locked=locked,
        unclear=doubts,
        unknown=sweep.unknown(),
        manifests={key: every[::-1] for key, every in versions.items() if MANIFEST.match(key)},
    )


def carry_out(
    expiry: Expiry,
    reader: Vault,
    deleter: Vault,
    signer: Signer,
    now: datetime,
    told: Callable[[str], None] = lambda _key: None,
) -> Expired:
    """Delete what was planned: write it down, then the manifests, then the rest.

    `told`: called with each key that was deleted. A backup whose manifest the storage would not
    delete is left whole.

    Raises:
        Unreachable: the storage; what is left goes at the next expiry.
    """
    if expiry.going:
        write_record(reader, expiry.site, map(_written, expiry.going), now, signer)
    act = _Deleting(deleter, told)
    ended = [one for one in expiry.going if act.manifest(one, expiry, reader)]
    spared = {
        segment.key for one in expiry.going if one not in ended for segment in one.snapshot.segments
    }
    for one in expiry.objects:
        whose = any(one.belongs_to(left) for left in expiry.going if left not in ended)
        if one.version.key not in spared and not whose:
            act.delete(one.version)
    names = tuple(one.snapshot.snap for one in ended)
    return Expired(expiry.site, names, act.count, act.bytes, tuple(act.refused))


class _Deleting:
    """Deletes version by version and adds up."""

    def __init__(self, vault: Vault, told: Callable[[str], None]) -> None:
        self._vault = vault
        self._told = told
        self.count = 0
        self.bytes = 0
        self.refused: list[Damage] = []

    def delete(self, version: StoredObject) -> bool:
        try:
            self._vault.delete(version.key, version.version_id)
        except VaultRefused as error:
            self.refused.append(Damage(version.key, f"was not deleted: {error.what}"))
            return False
        self.count += 1
        self.bytes += version.bytes
        self._told(version.key)
        return True

    def manifest(self, one: Backup, expiry: Expiry, reader: Vault) -> bool:
        """Delete a manifest, the newest version last: no older one is ever seen in its place."""
        key = one.snapshot.key
        if not all(self.delete(version) for version in expiry.manifests.get(key, ())):
            return False
        if reader.head(key) is None:
            return True
        self.refused.append(Damage(key, "is still there, although the storage deleted it"))
        return False


def _versions(vault: Vault, site: str) -> Mapping[str, tuple[StoredObject, ...]]:
    """Return key → its versions and marks of deletion, the newest first."""
    found: dict[str, list[StoredObject]] = {}
    for one in vault.versions(f"v1/{site}/"):
        found.setdefault(one.key, []).append(one)
    return {key: tuple(every) for key, every in found.items()}


def _stored(one: StoredObject) -> datetime:
    if one.modified is None:
        raise VaultRefused(f"the storage does not tell when {one.key} was stored")
    return one.modified


def _spared(one: Backup, doubts: Iterable[Unclear]) -> Backup:
    """Return the backup, kept where its month holds a manifest that cannot be trusted."""
    for doubt in doubts:
        if one.fate and not one.fate.stays and doubt.folder == one.snapshot.folder:
            why = f"{doubt.damage.key} of the same month cannot be trusted"
            return replace(one, fate=Fate(one.fate.held, True, why, doubt.until))
    return one


def _by_lock(
    objects: Iterable[Going], reader: Vault, now: datetime
) -> tuple[tuple[Going, ...], tuple[Going, ...]]:
    """Return what is free to go, and what the storage says is locked still."""
    free, locked = [], []
    for one in objects:
        told = reader.head(one.version.key)
        until = told.retain_until if told else None
        if until and until > now:
            locked.append(replace(one, locked_until=until))
        else:
            free.append(one)
    return tuple(free), tuple(locked)


def _written(one: Backup) -> Gone:
    why = one.fate.why if one.fate else ""
    previous = one.snapshot.previous_snap_sha256
    return Gone(one.snapshot.key, one.manifest_sha256, previous, why)
