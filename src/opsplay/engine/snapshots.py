"""What the vault holds: sealed snapshots, and whether the storage still has every part."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from opsplay.core.errors import UnreadableAnswer, VaultRefused
from opsplay.core.snapshot import Segment, Snapshot, from_json, site_prefix
from opsplay.core.vault import Vault

_MANIFEST = re.compile(r"v1/[^/]+/[^/]+/snap/[^/]+\.json\Z")
_AT_ONCE = 8


def manifest_keys(vault: Vault, site_name: str) -> tuple[str, ...]:
    """Return the keys of the sealed snapshots' manifests, oldest first."""
    listed = (one.key for one in vault.keys(site_prefix(site_name)))
    return tuple(sorted(key for key in listed if _MANIFEST.match(key)))


def snapshots(vault: Vault, site_name: str) -> tuple[Snapshot, ...]:
    """Return the site's sealed snapshots, newest last. A backup without a manifest is none.

    Raises:
        UnreadableAnswer: a manifest cannot be read; it is named.
    """
    keys = manifest_keys(vault, site_name)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(lambda key: load(vault, key), keys))


def find(vault: Vault, site_name: str, snap: str, environment: str = "production") -> Snapshot:
    """Return the snapshot of that name; `last` stands for the newest of `environment`.

    Raises:
        VaultRefused: there is none.
    """
    keys = manifest_keys(vault, site_name)
    if snap != "last":
        keys = tuple(key for key in keys if key.endswith(f"/{snap}.json"))
    for key in reversed(keys):
        found = load(vault, key)
        if snap != "last" or found.environment == environment:
            return found
    raise VaultRefused(
        f"vault {vault.name} holds no backup {snap}",
        site=site_name,
        next_command=f"invoke backups {site_name}",
    )


def load(vault: Vault, key: str) -> Snapshot:
    """Return the snapshot whose manifest lies under `key`. Raises UnreadableAnswer."""
    snapshot = from_json(text(vault, key), key)
    if snapshot.key != key:
        raise UnreadableAnswer(f"{key} is the manifest of another snapshot: {snapshot.key}")
    return snapshot


def text(vault: Vault, key: str) -> bytes:
    """Return a small object as a whole."""
    return b"".join(vault.get(key))


def verify_listing(vault: Vault, snapshot: Snapshot) -> tuple[str, ...]:
    """Return what the storage lacks or holds differently; empty: level 1 is fulfilled.

    Level 1: the storage itself says size and SHA-256 of every segment; nothing is downloaded.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda segment: _problem(vault, segment), snapshot.segments)
        problems = [problem for problem in found if problem]
    return tuple(sorted([*problems, *_unsealed(vault, snapshot)]))


def _problem(vault: Vault, segment: Segment) -> str:
    found = vault.head(segment.key)
    if found is None:
        return f"{segment.key} is missing"
    if found.bytes != segment.bytes:
        return f"{segment.key} has {found.bytes} bytes in place of {segment.bytes}"
    if found.sha256 != segment.sha256:
        return f"{segment.key} is damaged: its SHA-256 is not the manifest's"
    return ""


def _unsealed(vault: Vault, snapshot: Snapshot) -> Iterable[str]:
    if vault.head(snapshot.key) is None:
        yield f"{snapshot.key} is missing"
