"""What must be right before a restore changes anything: the backup, its signature, the host."""

from __future__ import annotations

from opsplay.core.errors import InvalidInput, VaultRefused
from opsplay.core.snapshot import from_json
from opsplay.engine.restore_fetch import AT_ONCE
from opsplay.engine.restore_forecast import Look
from opsplay.engine.restore_plan import Plan
from opsplay.engine.restoring import UNCHANGED, Restoring
from opsplay.engine.snapshots import text, verify_listing
from opsplay.engine.trust import signature_of
from opsplay.kit.wording import size

_SEGMENTS_IN_SPOOL = 2


def insist_on_the_way_down(work: Restoring, paths: tuple[str, ...]) -> None:
    """Raise InvalidInput unless this snapshot may come to this environment."""
    snapshot, here = work.snapshot, work.site.here.name
    if here == "production" != snapshot.environment:
        raise InvalidInput(
            f"backup {snapshot.snap} was taken from {snapshot.environment}: in production it would"
            " be made a copy that sends no mail",
            next_command=f"invoke backups {snapshot.site}",
        )
    if paths and here != snapshot.environment:
        raise InvalidInput(
            f"single files of {snapshot.environment} go back to {snapshot.environment} only: its"
            f" configuration must not come to {here}"
        )


def insist_on_its_signature(work: Restoring) -> None:
    """Whoever may write to the vault may not therefore say what is restored."""
    if not work.trusted:
        return
    snapshot = work.snapshot
    told = text(work.vault, snapshot.key)
    signed = signature_of(work.vault, snapshot.key, told, work.trusted)
    if not signed or from_json(told, snapshot.key) != snapshot:
        raise VaultRefused(
            f"{snapshot.key} is not signed by a key that is trusted here",
            site=snapshot.site,
            state=UNCHANGED,
            next_command=f"opsplay backups.verify {snapshot.site}",
        )


def insist_on_every_part(work: Restoring, wanted: Plan) -> None:
    """Raise VaultRefused unless the storage holds every object that is needed; each is named."""
    snapshot = wanted.snapshot
    if problems := verify_listing(work.vault, wanted.needed()):
        raise VaultRefused(
            f"backup {snapshot.snap} is not whole: " + "; ".join(problems),
            site=snapshot.site,
            state=UNCHANGED,
            next_command=f"invoke backups {snapshot.site}",
        )


def insist_on_tools(work: Restoring, wanted: Plan, seen: Look) -> None:
    """Raise StepFailed unless the host can unpack what is fetched."""
    needed = {"tar", "gzip", *(part.stream.compression for part in wanted.parts)} - {"none"}
    if not seen.tools & {"sha256sum", "openssl"}:
        needed.add("sha256sum")
    if lacking := sorted(needed - seen.tools):
        raise work.refused(
            f"{', '.join(lacking)} is not installed on this host",
            f"install {' '.join(lacking)} on {work.site.here.host}, then restore again",
        )


def insist_on_room(work: Restoring, wanted: Plan, seen: Look) -> None:
    """The new files stand beside the old ones until the switch, and the old ones stay."""
    largest = [max(one.bytes for one in part.stream.segments) for part in wanted.parts]
    spool = sum(sorted(largest)[-AT_ONCE:]) * _SEGMENTS_IN_SPOOL
    spool += sum(part.room for part in wanted.parts if part.kind == "database")
    files = sum(part.room for part in wanted.parts if part.kind != "database")
    if "one-disk" in seen.tools:
        spool, files = spool + files, 0
    for free, needed in ((seen.free_bytes, spool), (seen.room_bytes, files)):
        if needed and free + seen.held_bytes < needed:
            raise work.refused(
                f"the host has {size(free + seen.held_bytes)} free, the restore needs {size(needed)}",
                f"make room on {work.site.here.host}, then restore again",
            )
