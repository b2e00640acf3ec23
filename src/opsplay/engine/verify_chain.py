"""The hash chain over all manifests of a site: each one vouches for the one sealed before it.

Two that were sealed at the same time, of two environments, vouch for the same one, and the next
vouches for both: a fork is no damage. Damage is a link to what is not there.

What expiry takes away it writes down first, signed, so that a gap which it made is told from one
that somebody else made. What the chain cannot show is the loss of the newest ones: nothing follows
them yet. The lock and the journal stand for those.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.snapshot import site_prefix
from opsplay.core.vault import Vault
from opsplay.core.verdict import Backup, Damage
from opsplay.engine.signature import SUFFIX, Signer
from opsplay.engine.snapshots import text
from opsplay.engine.trust import signature_of
from opsplay.kit.ids import run_id

SCHEMA = 1


@dataclass(frozen=True)
class Gone:
    """One manifest that expiry took away."""

    manifest: str
    """Its key."""
    sha256: str
    previous: str
    """SHA-256 of the one before it."""
    why: str


def records(site: str) -> str:
    """Return the prefix of what expiry wrote down."""
    return f"{site_prefix(site)}expired/"


def write_record(
    vault: Vault, site: str, gone: Iterable[Gone], at: datetime, signer: Signer
) -> str:
    """Write down what is about to go, signed, and return the key. Never overwrites."""
    data = {"schema": SCHEMA, "site": site, "at": at.astimezone(UTC).isoformat()}
    rows = {"gone": [asdict(one) for one in gone]}
    told = json.dumps(data | rows, indent=1, sort_keys=True).encode() + b"\n"
    key = f"{records(site)}{run_id(at)}.json"
    vault.put(key + SUFFIX, signer.sign(told))
    vault.put(key, told)
    return key


def gone(
    vault: Vault, site: str, objects: Collection[str], trusted: Collection[str]
) -> Mapping[str, tuple[Gone, ...]]:
    """Return record → what it says went, as far as it is signed by somebody trusted."""
    found: dict[str, tuple[Gone, ...]] = {}
    for key in sorted(one for one in objects if one.startswith(records(site))):
        told = text(vault, key) if key.endswith(".json") else b""
        if told and signature_of(vault, key, told, trusted, seen=key + SUFFIX in objects):
            found[key] = _read(told, key)
    return found


def _read(told: bytes, key: str) -> tuple[Gone, ...]:
    try:
        data: Mapping[str, Any] = json.loads(told)
        return tuple(Gone(**one) for one in data["gone"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableAnswer(f"{key} is not a readable record of an expiry: {error}") from error


def broken_links(
    backups: Iterable[Backup], gone: Mapping[str, Iterable[Gone]]
) -> tuple[Damage, ...]:
    """Return each manifest that follows one which is neither there nor written down as expired.

    The first one of all follows none, and says so.
    """
    every = tuple(backups)
    expired = {one.sha256 for record in gone.values() for one in record}
    there = expired | {one.manifest_sha256 for one in every}
    return tuple(
        Damage(one.snapshot.key, "follows a manifest that is not there any more, nor expired")
        for one in every
        if not there.issuperset(one.snapshot.follows)
    )
