"""What is known of a site's backups without fetching them: manifests, signatures, verdicts.

Nothing that another could have written is believed: who sealed a manifest is proved by its
signature, when it was stored is told by the storage, and a verdict counts only when it is signed
and was given on this very manifest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from opsplay.core.errors import UnreadableAnswer, VaultRefused
from opsplay.core.retention import Held, Plan, fates
from opsplay.core.snapshot import site_prefix
from opsplay.core.vault import StoredObject, Vault
from opsplay.core.verdict import Backup, Damage, Verdict
from opsplay.core.verdict import from_json as verdict_from_json
from opsplay.core.verdict import to_json as verdict_to_json
from opsplay.engine.signature import SUFFIX, Signer
from opsplay.engine.snapshots import MANIFEST, text
from opsplay.engine.trust import Trust, sealed, signature_of

VERDICT = re.compile(r"v1/[^/]+/[^/]+/verify/(.+)-L(\d)-\d{8}T\d{6,12}Z?\.json\Z")
"""A verdict's key, or a drill certificate's: (snapshot, level)."""
_AT_ONCE = 8
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Known:
    """All that a vault tells of a site, the segments' bytes left out."""

    site: str
    objects: Mapping[str, StoredObject]
    """What is seen now, by key."""
    backups: tuple[Backup, ...]
    """Oldest first, by the storage's clock."""
    damage: tuple[Damage, ...] = ()
    """Manifests that cannot be read, or lie under another's name."""

    def find(self, snap: str) -> Backup:
        """Return the backup of this name. Raises VaultRefused."""
        for one in self.backups:
            if one.snapshot.snap == snap:
                return one
        raise VaultRefused(
            f"the vault holds no backup {snap}",
            site=self.site,
            next_command=f"invoke backups {self.site}",
        )

    def newest(self, trust: Trust) -> tuple[Backup, ...]:
        """Return the newest backup of each environment that counts, by name as `last` is."""
        counting = sorted(self.backups, key=lambda one: one.snapshot.snap)
        found = {one.snapshot.environment: one for one in counting if not trust.doubt(one)}
        return tuple(found.values())


def known(
    vault: Vault,
    site: str,
    trusted: Collection[str],
    *,
    since: Mapping[str, datetime] | None = None,
) -> Known:
    """Return what a vault tells of a site's backups.

    Args:
        vault: opened for reading.
        site: its name.
        trusted: public keys whose signatures count.
        since: key → when the first version of an object was stored, where versions are known:
            whoever stores an old manifest again makes it no younger.
    """
    objects = {one.key: one for one in vault.keys(site_prefix(site))}
    keys = [key for key in objects if MANIFEST.match(key)]
    verdicts = _verdicts(vault, objects, trusted)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = tuple(
            pool.map(
                lambda key: sealed(vault, objects[key], trusted, seen=key + SUFFIX in objects), keys
            )
        )
    damage = tuple(one for one in read if isinstance(one, Damage))
    backups = [
        replace(
            one,
            stored=(since or {}).get(one.snapshot.key, one.stored),
            verdicts=tuple(v for v in verdicts if v.manifest_sha256 == one.manifest_sha256),
        )
        for one in read
        if isinstance(one, Backup)
    ]
    ordered = sorted(backups, key=lambda one: (one.stored, one.snapshot.snap))
    return Known(site, objects, tuple(ordered), damage)


def write_verdict(
    vault: Vault, folder: str, verdict: Verdict, signer: Signer, until: datetime | None = None
) -> str:
    """Store a signed verdict, its signature first; return its key. `folder`: `Snapshot.folder`."""
    key, told = f"{folder}/verify/{verdict.name}", verdict_to_json(verdict)
    vault.put(key + SUFFIX, signer.sign(told), retain_until=until, replace=True)
    vault.put(key, told, retain_until=until)
    return key


def with_fates(backups: Sequence[Backup], plan: Plan, now: datetime) -> tuple[Backup, ...]:
    """Return the backups, each with what becomes of it."""
    told = {one.held.key: one for one in fates(map(held, backups), plan, now)}
    return tuple(replace(one, fate=told[one.snapshot.key]) for one in backups)


def with_locks(vault: Vault, backups: Iterable[Backup]) -> tuple[Backup, ...]:
    """Return the backups, each with the lock that the storage tells of its manifest."""

    def locked(one: Backup) -> Backup:
        found = vault.head(one.snapshot.key)
        return replace(one, lock=found.retain_until if found else None)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(locked, backups))


def held(one: Backup) -> Held:
    """Return the backup as retention sees it."""
    proved = one.proved
    return Held(
        key=one.snapshot.key,
        environment=one.snapshot.environment,
        parts=frozenset(one.snapshot.parts),
        full=one.snapshot.kind == "full",
        stored=one.stored,
        lock=one.lock,
        good=one.good,
        suspect=one.suspect,
        verified=proved.level if proved else 0,
    )


def _verdicts(
    vault: Vault,
    objects: Mapping[str, StoredObject],
    trusted: Collection[str],
) -> tuple[Verdict, ...]:
    """Return the newest verdict of each backup and level, in the order they were stored.

    Only those count that are signed by somebody trusted: a stranger's newer one hides nothing.
    """
    groups: dict[tuple[str, str], list[StoredObject]] = {}
    for one in objects.values():
        if found := VERDICT.match(one.key):
            groups.setdefault((found[1], found[2]), []).append(one)

    def newest(group: list[StoredObject]) -> tuple[StoredObject, Verdict] | None:
        for one in sorted(group, key=_when, reverse=True):
            if verdict := _verdict(vault, one.key, objects, trusted):
                return one, verdict
        return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found_ones = [one for one in pool.map(newest, groups.values()) if one]
    return tuple(verdict for _, verdict in sorted(found_ones, key=lambda one: _when(one[0])))


def _when(one: StoredObject) -> tuple[datetime, str]:
    return one.modified or _LONG_AGO, one.key


def _verdict(
    vault: Vault, key: str, objects: Mapping[str, StoredObject], trusted: Collection[str]
) -> Verdict | None:
    told = text(vault, key)
    if not signature_of(vault, key, told, trusted, seen=key + SUFFIX in objects):
        return None
    try:
        return verdict_from_json(told, key)
    except UnreadableAnswer:
        return None  # ours, of a form that this version does not know
