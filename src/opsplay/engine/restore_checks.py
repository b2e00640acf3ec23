"""What must be right before a restore changes anything: the backup, its signature, the host."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from opsplay.core.errors import InvalidInput, StepFailed, VaultRefused
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot, from_json
from opsplay.core.vault import Vault
from opsplay.engine.restore_fetch import AT_ONCE, UNCHANGED
from opsplay.engine.restore_forecast import Look, size
from opsplay.engine.restore_plan import Plan
from opsplay.engine.signature import SUFFIX, signed_by
from opsplay.engine.snapshots import text, verify_listing

_SEGMENTS_IN_SPOOL = 2
_TOOLS: Mapping[str, str] = MappingProxyType({"zstd": "zstd", "gzip": "gzip"})


def insist_on_the_way_down(snapshot: Snapshot, site: Site, paths: tuple[str, ...]) -> None:
    """Raise InvalidInput unless this snapshot may come to this environment."""
    if site.here.name == "production" != snapshot.environment:
        raise InvalidInput(
            f"backup {snapshot.snap} was taken from {snapshot.environment}: in production it would"
            " be made a copy that sends no mail",
            next_command=f"invoke backups {snapshot.site}",
        )
    if paths and site.here.name != snapshot.environment:
        raise InvalidInput(
            f"single files of {snapshot.environment} go back to {snapshot.environment} only: its"
            f" configuration must not come to {site.here.name}"
        )


def insist_on_its_signature(vault: Vault, snapshot: Snapshot, trusted: tuple[str, ...]) -> None:
    """Whoever may write to the vault may not therefore say what is restored."""
    if not trusted:
        return
    key = f"{snapshot.key}{SUFFIX}"
    signature = text(vault, key) if vault.head(key) else b""
    told = text(vault, snapshot.key)
    signed = signature and signed_by(told, signature, trusted)
    if not signed or from_json(told, snapshot.key) != snapshot:
        raise VaultRefused(
            f"{snapshot.key} is not signed by a key that is trusted here",
            site=snapshot.site,
            state=UNCHANGED,
            next_command=f"opsplay backups.verify {snapshot.site}",
        )


def insist_on_every_part(vault: Vault, wanted: Plan) -> None:
    """Raise VaultRefused unless the storage holds every object that is needed; each is named."""
    snapshot = wanted.snapshot
    if problems := verify_listing(vault, wanted.needed()):
        raise VaultRefused(
            f"backup {snapshot.snap} is not whole: " + "; ".join(problems),
            site=snapshot.site,
            state=UNCHANGED,
            next_command=f"invoke backups {snapshot.site}",
        )


def insist_on_tools(site: Site, seen: Look, wanted: Plan) -> None:
    """Raise StepFailed unless the host can unpack what is fetched."""
    needed = {_TOOLS[part.stream.compression] for part in wanted.parts
              if part.stream.compression in _TOOLS} | {"tar", "gzip"}  # fmt: skip
    if not seen.tools & {"sha256sum", "openssl"}:
        needed.add("sha256sum")
    if lacking := sorted(needed - seen.tools):
        raise StepFailed(
            f"{', '.join(lacking)} is not installed on this host",
            site=site.name,
            state=UNCHANGED,
            next_command=f"install {' '.join(lacking)} on {site.here.host}, then restore again",
        )


def insist_on_room(site: Site, seen: Look, wanted: Plan) -> None:
    """The new files stand beside the old ones until the switch, and the old ones stay."""
    largest = [max(one.bytes for one in part.stream.segments) for part in wanted.parts]
    spool = sum(sorted(largest)[-AT_ONCE:]) * _SEGMENTS_IN_SPOOL
    spool += sum(part.room for part in wanted.parts if part.kind == "database")
    files = sum(part.room for part in wanted.parts if part.kind != "database")
    if "one-disk" in seen.tools:
        spool, files = spool + files, 0
    for free, needed in ((seen.free_bytes, spool), (seen.room_bytes, files)):
        if needed and free + seen.held_bytes < needed:
            raise StepFailed(
                f"the host has {size(free + seen.held_bytes)} free, the restore needs {size(needed)}",
                site=site.name,
                state=UNCHANGED,
                next_command=f"make room on {site.here.host}, then restore again",
            )
