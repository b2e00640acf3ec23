"""What the vault holds: sealed snapshots, their indexes, and whether every part is still there."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from opsplay.core import index
from opsplay.core.errors import UnreadableAnswer, VaultRefused
from opsplay.core.index import Entry
from opsplay.core.snapshot import Segment, Snapshot, from_json, site_prefix
from opsplay.core.vault import StoredObject, Vault, VaultSettings
from opsplay.engine.verify_listing import damage

MANIFEST = re.compile(r"v1/[^/]+/[\w-]+/snap/[\w.-]+\.json\Z")
"""A manifest's key. Any other name is a stranger's, and might hold what a terminal obeys."""
_AT_ONCE = 8


def manifests(vault: Vault, site_name: str, chain: str = "") -> tuple[StoredObject, ...]:
    """Return the manifests that are seen, oldest first by name; `chain`: of one month."""
    prefix = f"{site_prefix(site_name)}{chain}/snap/" if chain else site_prefix(site_name)
    return tuple(sorted(one for one in vault.keys(prefix) if MANIFEST.match(one.key)))


def manifest_keys(vault: Vault, site_name: str, chain: str = "") -> tuple[str, ...]:
    """Return their keys alone."""
    return tuple(one.key for one in manifests(vault, site_name, chain))


def snapshots(vault: Vault, site_name: str, chain: str = "") -> tuple[Snapshot, ...]:
    """Return the site's sealed snapshots, newest last. A backup without a manifest is none.

    Raises:
        UnreadableAnswer: a manifest cannot be read; it is named.
    """
    keys = manifest_keys(vault, site_name, chain)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(lambda key: load(vault, key), keys))


def load(vault: Vault, key: str) -> Snapshot:
    """Return the snapshot whose manifest lies under `key`. Raises UnreadableAnswer."""
    snapshot = from_json(text(vault, key), key)
    if snapshot.key != key:
        raise UnreadableAnswer(f"{key} is the manifest of another snapshot: {snapshot.key}")
    return snapshot


def text(vault: Vault, key: str) -> bytes:
    """Return a small object as a whole."""
    return b"".join(vault.get(key))


def index_text(vault: Vault, snapshot: Snapshot, settings: VaultSettings) -> bytes:
    """Return the index of a snapshot's files as text, every proof right; empty: without files.

    Raises:
        InvalidInput: no identity is configured.
        VaultRefused: it is not what the manifest says, or no identity fits.
    """
    if snapshot.index is None:
        return b""
    import pyrage  # type: ignore[import-untyped]  # ships no types

    from opsplay.engine.restore_stream import identities

    keys = identities(settings)
    segment = snapshot.index.segment
    body = text(vault, segment.key)
    if (len(body), hashlib.sha256(body).hexdigest()) != (segment.bytes, segment.sha256):
        raise _damaged(vault, snapshot, "it is not what was stored")
    try:
        plain = gzip.decompress(pyrage.decrypt(body, list(keys)))
    except (pyrage.DecryptError, OSError, EOFError, zlib.error) as error:
        raise _damaged(vault, snapshot, str(error)) from error
    if index.sha256(plain) != snapshot.index.raw_sha256:
        raise _damaged(vault, snapshot, "its text is not what was saved")
    return plain


def entries(vault: Vault, snapshot: Snapshot, settings: VaultSettings) -> tuple[Entry, ...]:
    """Return every file, directory and link of a snapshot, sorted by path. Raises as above."""
    plain = index_text(vault, snapshot, settings)
    return index.from_text(plain, snapshot.key) if plain else ()


def verify_listing(vault: Vault, snapshot: Snapshot) -> tuple[str, ...]:
    """Return what the storage lacks or holds differently; empty: level 1 is fulfilled.

    Level 1: the storage itself says size and SHA-256 of every segment; nothing is downloaded.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda segment: _problem(vault, segment), snapshot.segments)
        problems = [problem for problem in found if problem]
    return tuple(sorted([*problems, *_unsealed(vault, snapshot)]))


def _damaged(vault: Vault, snapshot: Snapshot, why: str) -> VaultRefused:
    where = snapshot.index.segment.key if snapshot.index else snapshot.snap
    return VaultRefused(
        f"vault {vault.name}: the index of files {where} cannot be read: {why}",
        site=snapshot.site,
        next_command=f"opsplay backups.verify {snapshot.site}",
    )


def _problem(vault: Vault, segment: Segment) -> str:
    what = damage(segment, vault.head(segment.key))
    return f"{segment.key} {what}" if what else ""


def _unsealed(vault: Vault, snapshot: Snapshot) -> Iterable[str]:
    if vault.head(snapshot.key) is None:
        yield f"{snapshot.key} is missing"
