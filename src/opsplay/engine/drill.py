"""A restore drill: a snapshot tried where nobody is, measured, judged, certified, cleared away.

Everything comes from the vault; the site's own host is never asked. The restore's status and the
verdict are two things: a restore that went well proves nothing about what came back.
"""

from __future__ import annotations

import hashlib

from opsplay.core.action import Drill
from opsplay.core.certificate import Certificate, Told, to_json, told
from opsplay.core.errors import (
    DrillFailed,
    ExitStatus,
    Interrupted,
    InvalidInput,
    LineCut,
    StepFailed,
    Unreachable,
    VaultRefused,
)
from opsplay.core.retention import CERTIFIED
from opsplay.core.snapshot import Snapshot
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.context import Context
from opsplay.engine.drill_certificate import Ended, Held, certificate_of, parts_of
from opsplay.engine.drill_place import DRILL, place
from opsplay.engine.drill_seen import Seen
from opsplay.engine.drill_trial import GaveUp, Patience, Trial
from opsplay.engine.keys import opened
from opsplay.engine.outcome import Outcome
from opsplay.engine.snapshots import manifests
from opsplay.engine.trust import Trust, find
from opsplay.kit.wording import about

_NOTHING_ABOUT_THE_BACKUP = (Interrupted, InvalidInput, Unreachable, LineCut)
"""What keeps a drill from being held."""


def drill(context: Context, action: Drill) -> Outcome:
    """Hold a drill and return what it proved.

    Raises:
        DrillFailed: there is nothing to restore, it did not come back whole, or a promise to the
            client was not kept; certified all the same.
        Unreachable, LineCut, Interrupted, InvalidInput, LabBroken: no drill was held.
    """
    tools = context.tools
    vault, settings = opened(tools, context.site)
    began = tools.clock.now()
    snapshot = _chosen(context, vault, action, context.trust(settings))
    with place(context, snapshot) as where:
        held = Held(context, action, snapshot, where, vault, settings, began)
        certificate = certificate_of(held, _tried(held))
        _measured(context, certificate)
    kept = _keep(context, certificate, vault, settings)
    return _told(context, certificate, kept)


def _chosen(context: Context, vault: Vault, action: Drill, trust: Trust) -> Snapshot:
    """Return the snapshot to try. Raises DrillFailed when there is none that could be."""
    site = context.site.name
    try:
        if action.snapshot != "last":
            return find(vault, site, action.snapshot, trust)
        if found := trust.newest(vault, manifests(vault, site), _whole):
            return found.snapshot
        why = f"vault {vault.name} holds no good backup of files and database"
    except (VaultRefused, StepFailed) as error:
        why = error.what
    context.failed_as = ExitStatus.DRILL_FAILED
    raise DrillFailed(
        f"nothing could be tried: {why}", site=site, next_command=f"invoke backups {site}"
    )


def _whole(snapshot: Snapshot) -> bool:
    parts = {stream.part for stream in snapshot.streams}
    return snapshot.environment == "production" and parts == {"database", "files"}


def _tried(held: Held) -> Ended:
    tools, seen = held.context.tools, Seen()
    trial = Trial(held, Patience(tools, held.action.give_up_after), seen)
    clock = tools.clock
    begun = clock.monotonic()
    errors: tuple[Told, ...]
    try:
        trial.restore()
        restored = clock.monotonic()
        trial.await_answer()
        parts = parts_of(seen, begun, restored, clock.monotonic())
        trial.look_at_all()
        return Ended("restored", (), parts, seen)
    except GaveUp as gave_up:
        errors = (told("error", error=gave_up.what),)
        return Ended("timed out", errors, _until(clock.monotonic() - begun), seen)
    except _NOTHING_ABOUT_THE_BACKUP:
        raise
    except (VaultRefused, StepFailed) as failed:
        took = clock.monotonic() - begun
        errors = (told("error", error=failed.what), *trial.damages())
        trial.count_what_came()
        return Ended("failed", errors, _until(took), seen)


def _until(seconds: float) -> tuple[tuple[str, float], ...]:
    return (("until it failed", round(seconds, 3)),)


def _measured(context: Context, found: Certificate) -> None:
    context.write(
        "drill_measured",
        environment=DRILL,
        snapshot=found.snapshot.snap,
        place=str(found.place),
        restore=found.restore.status,
        seconds=found.restore.seconds,
        parts=dict(found.restore.parts),
        checks={check.name: check.good for check in found.checks},
        rto={"measured": found.rto.measured, "promised": found.rto.promised},
        rpo={"measured": found.rpo.measured, "promised": found.rpo.promised},
    )


def _keep(context: Context, certificate: Certificate, vault: Vault, settings: VaultSettings) -> str:
    """Sign the certificate, store it beside the snapshot and where people look; return where."""
    tools, text = context.tools, to_json(certificate)
    signature = tools.signer(settings).sign(text) if tools.signer else b""
    until = certificate.ended_at + CERTIFIED
    vault.put(certificate.key, text, retain_until=until)
    if signature:
        vault.put(f"{certificate.key}.sig", signature, retain_until=until)
    where = tools.certify(certificate, text, signature) or certificate.key
    context.write(
        "drill_verdict",
        environment=DRILL,
        snapshot=certificate.snapshot.snap,
        verdict=certificate.verdict,
        reasons=[str(one) for one in certificate.reasons],
        certificate=where,
        key=certificate.key,
        sha256=hashlib.sha256(text).hexdigest(),
    )
    return where


def _told(context: Context, found: Certificate, where: str) -> Outcome:
    facts = {
        "drilled": found.snapshot.snap,
        "verdict": found.verdict,
        "rto_seconds": found.rto.measured,
        "rpo_seconds": found.rpo.measured,
        "certificate": where,
    }
    if found.verdict == "SUCCESSFUL":
        measured = f"back after {about(found.rto.measured)}, data {about(found.rpo.measured)} old"
        return Outcome(f"{found.snapshot.snap} proved: {measured}", facts)
    context.failed_as = ExitStatus.DRILL_FAILED
    raise DrillFailed(
        f"drill {found.verdict}: " + "\n".join(map(str, found.reasons)),
        site=found.site,
        state=f"restore: {found.restore.status}; nothing of it is left; production was not touched",
        next_command=f"invoke backups {found.site}",
    )
