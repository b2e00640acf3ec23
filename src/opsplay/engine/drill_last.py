"""The last successful drill of a site, by the certificates in its vault.

They outlive the backup that was tried and the controller that held the drill. Only those count
that are signed by somebody trusted, and by the date that is signed: stored again, none gets younger.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime

from opsplay.core.drill_promise import EVERY, DrillPromise
from opsplay.core.site import Site
from opsplay.core.vault import Vault
from opsplay.core.verdict import DRILLED
from opsplay.engine.signature import SUFFIX
from opsplay.engine.snapshots import text
from opsplay.engine.trust import signature_of
from opsplay.engine.verify_known import VERDICT, Known


def drill_promise(
    site: Site, vault: Vault, found: Known, trusted: Collection[str]
) -> DrillPromise | None:
    """Return what was promised and what became of it; None: nothing was, or nothing is backed up."""
    if EVERY not in site.promises or not found.backups:
        return None
    first = found.backups[0]
    # Where the first of all is gone, nobody can tell any more since when there were backups.
    since = None if first.snapshot.previous_snap_sha256 else first.stored
    return DrillPromise(site.promises[EVERY], last_success(vault, found, trusted), since)


def last_success(vault: Vault, found: Known, trusted: Collection[str]) -> datetime | None:
    """Return when the last drill ended that proved its backup and kept all promises; None: never."""
    keys = [key for key in found.objects if (one := VERDICT.match(key)) and int(one[2]) == DRILLED]
    for key in sorted(keys, key=_when, reverse=True):
        told = text(vault, key)
        if signature_of(vault, key, told, trusted, seen=key + SUFFIX in found.objects):
            data = json.loads(told)
            if (data["site"], data["verdict"]) == (found.site, "SUCCESSFUL"):
                return datetime.fromisoformat(data["ended_at"]).astimezone(UTC)
    return None


def _when(key: str) -> str:
    return key.rpartition("-")[2]
