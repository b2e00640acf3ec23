"""The end of a backup: its index, its manual, its manifest, its signature. From here on it exists."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from opsplay.core import index
from opsplay.core.errors import InvalidInput, VaultRefused
from opsplay.core.index import Listed
from opsplay.core.snapshot import FileIndex, Segment, Snapshot, site_prefix, to_json
from opsplay.core.vault import StoredObject, Vault, VaultSettings
from opsplay.core.verdict import Backup
from opsplay.engine.signature import SUFFIX, Signer
from opsplay.engine.snapshots import manifests
from opsplay.engine.store_diff import Changes
from opsplay.engine.store_last import Indexes
from opsplay.engine.store_readme import readme
from opsplay.engine.trust import Trust, sealed

_FAST = 3
"""gzip's level for indexes: half of the time for a tenth more bytes."""
_SEALING = timedelta(days=1)
"""Longer than any seal takes from its look at the list until its manifest is there."""
_AT_ONCE = 8


def store_index(
    listed: Listed,
    changes: Changes,
    key: str,
    *,
    vault: Vault,
    settings: VaultSettings,
    retain_until: datetime | None,
    indexes: Indexes | None,
) -> FileIndex:
    """Store the index, encrypted here, and return what the manifest says of it.

    Raises:
        VaultRefused: the storage does not show what it was given.
    """
    plain = listed.text
    body = _encrypted(gzip.compress(plain, _FAST, mtime=0), settings)
    vault.put(key, body, retain_until=retain_until)
    raw_sha256 = index.sha256(plain)
    if indexes is not None:
        indexes.save(raw_sha256, plain)
    return FileIndex(
        segment=confirmed(vault, key, body, retain_until),
        raw_sha256=raw_sha256,
        files=len(listed),
        bytes=listed.bytes,
        added=len(changes.added),
        changed=len(changes.changed),
        removed=len(changes.removed),
    )


def confirmed(vault: Vault, key: str, body: bytes, retain_until: datetime | None) -> Segment:
    """Return what the storage itself says of an object that we stored. Raises VaultRefused."""
    sums = _sums(body)
    found = vault.head(key)
    if found is None or not found.holds(len(body), *sums):
        raise VaultRefused(
            f"vault {vault.name} does not show {key} as it was stored",
            state="no backup was sealed by this attempt",
        )
    md5 = "" if found.sha256 else found.md5
    return Segment(key, len(body), sums[0], found.version_id, retain_until, md5)


def _sums(body: bytes) -> tuple[str, str]:
    return hashlib.sha256(body).hexdigest(), hashlib.md5(body, usedforsecurity=False).hexdigest()


def loose_ends(vault: Vault, snapshot: Snapshot, trust: Trust) -> tuple[str, ...]:
    """Return the SHA-256 of each manifest that nothing follows yet, the newest by name first.

    Usually that is one. Two environments that are sealed at the same time follow the same one and
    know nothing of each other: the next to be sealed follows both. Signatures alone decide here; a
    manifest of a wrong date is still a link.
    """
    listed = _recent(vault, snapshot)
    newest = trust.newest(vault, listed, lambda _one: True, else_suspect=True)
    if newest is None:
        return ()
    since = newest.stored - _SEALING
    near = [one for one in listed if one.modified is None or one.modified >= since]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = tuple(pool.map(lambda one: sealed(vault, one, trust.keys), reversed(near)))
    links = [one for one in read if isinstance(one, Backup) and trust.believes(one)]
    followed = {sha256 for one in links for sha256 in one.snapshot.follows}
    return tuple(one.manifest_sha256 for one in links if one.manifest_sha256 not in followed)


def _recent(vault: Vault, snapshot: Snapshot) -> Sequence[StoredObject]:
    """Return the manifests of this month and the last; where there are none, of all."""
    last = snapshot.started_at.replace(day=1) - timedelta(days=1)
    months = (f"{last:%Y-%m}", snapshot.chain)
    found = [one for month in months for one in manifests(vault, snapshot.site, month)]
    return found or manifests(vault, snapshot.site)


def seal(
    vault: Vault,
    snapshot: Snapshot,
    settings: VaultSettings,
    signer: Signer | None,
    retain_until: datetime | None,
) -> None:
    """Write the manual, the signature, and last the manifest: no manifest is ever seen unsigned.

    Cut short before the manifest, it leaves a signature of nothing: no backup, no alarm, and gone
    with the next expiry after its lock.
    """
    _manual(vault, snapshot.site, settings)
    body = to_json(snapshot)
    if signer is not None:
        vault.put(f"{snapshot.key}{SUFFIX}", signer.sign(body), retain_until=retain_until)
    vault.put(snapshot.key, body, retain_until=retain_until)


def _manual(vault: Vault, site: str, settings: VaultSettings) -> None:
    key, body = f"{site_prefix(site)}README.txt", readme(site, settings).encode()
    found = vault.head(key)
    if found is None or not found.holds(len(body), *_sums(body)):
        vault.put(key, body, replace=True)


def _encrypted(body: bytes, settings: VaultSettings) -> bytes:
    import pyrage  # type: ignore[import-untyped]  # ships no types

    keys = []
    for one in settings.recipients:
        kind = pyrage.ssh if one.startswith("ssh-") else pyrage.x25519
        try:
            keys.append(kind.Recipient.from_str(one))
        except (pyrage.RecipientError, ValueError) as error:
            raise InvalidInput(
                f"vault {settings.name}: `recipients` are age public keys, not {one!r}: {error}"
            ) from error
    sealed: bytes = pyrage.encrypt(body, keys)
    return sealed
