"""From what a drill saw to its certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from opsplay import __version__
from opsplay.core.action import Drill
from opsplay.core.certificate import (
    Certificate,
    Check,
    Promise,
    Proved,
    Restoration,
    Status,
    Told,
    promised,
    told,
    verdict_of,
)
from opsplay.core.snapshot import Snapshot, to_json
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.context import Context
from opsplay.engine.drill_checks import checks_of
from opsplay.engine.drill_place import Place
from opsplay.engine.drill_seen import Seen
from opsplay.engine.schedule_past import moment_of
from opsplay.engine.snapshots import entries, text
from opsplay.engine.trust import signature_of
from opsplay.engine.watermarks import ROWS

_LOOKING = "looking"


@dataclass(frozen=True)
class Held:
    """A drill that is held: which snapshot, where, from which vault."""

    context: Context
    action: Drill
    snapshot: Snapshot
    where: Place
    vault: Vault
    settings: VaultSettings
    began: datetime


@dataclass(frozen=True)
class Ended:
    """How its trial ended."""

    status: Status
    errors: tuple[Told, ...]
    """Why it was not restored, and what is damaged in the vault."""
    parts: tuple[tuple[str, float], ...]
    """Seconds of each part of the restore."""
    seen: Seen


def parts_of(
    seen: Seen, begun: float, restored: float, answered: float
) -> tuple[tuple[str, float], ...]:
    """Return what the time went into; looking at what came back is told apart."""
    at = {name: seen.times.get(name, 0.0) for name in _TIMES}
    database = max(0.0, at["database"] - at["files-checked"])
    looking = at["files-checked"] - at["files"] + at["database-checked"] - at["database"]
    rest = restored - begun - database - looking
    parts = (
        ("files, and making it safe", rest),
        ("database", database),
        ("first good page", answered - restored),
        (_LOOKING, looking),
    )
    return tuple((name, round(max(0.0, took), 3)) for name, took in parts)


_TIMES = ("files", "files-checked", "database", "database-checked")


def certificate_of(held: Held, ended: Ended) -> Certificate:
    """Return the certificate; the verdict is judged here."""
    site = held.context.site
    seconds = round(sum(took for name, took in ended.parts if name != _LOOKING), 3)
    rto, rpo = _promises(held, seconds)
    checks = _checks(held, ended)
    verdict, reasons = verdict_of(ended.status, _telling(checks, ended), rto, rpo, ended.errors)
    return Certificate(
        site=site.name,
        client=site.client,
        language=site.language,
        run=held.context.run,
        tool_version=__version__,
        began_at=held.began,
        ended_at=held.context.tools.clock.now(),
        due_at=_due(held),
        place=held.where.told,
        snapshot=_proved(held.snapshot),
        restore=_restoration(held, ended, seconds),
        checks=checks,
        rto=rto,
        rpo=rpo,
        verdict=verdict,
        reasons=reasons,
        watermarks=_known(ended.seen.marks),
    )


def _restoration(held: Held, ended: Ended, seconds: float) -> Restoration:
    error = str(ended.errors[0]) if ended.errors else ""
    return Restoration(ended.status, seconds, ended.parts, held.snapshot.stored_bytes, error)


def _promises(held: Held, seconds: float) -> tuple[Promise, Promise]:
    kept = held.context.site.promises
    # An older snapshot was asked for: how old it is breaks no promise.
    age = promised(kept, "lose_at_most") if held.action.snapshot == "last" else None
    old = (_due(held) - held.snapshot.started_at).total_seconds()
    return Promise(seconds, promised(kept, "back_within")), Promise(round(max(0.0, old), 3), age)


def _due(held: Held) -> datetime:
    """Return the moment that the data's age is told at: when it was due, if that is known."""
    started = held.context.tools.events(held.context.run)[0]
    slot = str(started.data.get("slot", ""))
    due = moment_of(slot)[1] if slot else held.began
    return due if due >= held.snapshot.started_at else held.began


def _checks(held: Held, ended: Ended) -> tuple[Check, ...]:
    snapshot, where = held.snapshot, held.where
    spared = () if where.fits else where.site.cms.configuration
    came = ended.seen.sums is not None
    index = entries(held.vault, snapshot, held.settings) if came and snapshot.index else None
    return _seal(held), *checks_of(snapshot, index, ended.seen, spared)


def _seal(held: Held) -> Check:
    """Check who sealed the backup: whoever gets into the storage could write another one."""
    trusted = held.context.tools.trusted(held.settings)
    if not trusted:
        return Check("seal", good=True, told=told("seal_unknown"))
    key = held.snapshot.key
    good = bool(signature_of(held.vault, key, text(held.vault, key), trusted))
    return Check("seal", good=good, told=told("sealed" if good else "seal_missing"))


def _telling(checks: tuple[Check, ...], ended: Ended) -> tuple[Check, ...]:
    """Return the checks that say something: after a failure, those that were reached."""
    if ended.status == "restored":
        return checks
    return tuple(check for check in checks if check.wrong or check.name == "seal")


def _proved(snapshot: Snapshot) -> Proved:
    return Proved(
        snap=snapshot.snap,
        kind=snapshot.kind,
        environment=snapshot.environment,
        started_at=snapshot.started_at,
        sealed_at=snapshot.sealed_at,
        manifest=snapshot.key,
        manifest_sha256=hashlib.sha256(to_json(snapshot)).hexdigest(),
        label=snapshot.label,
        cms=snapshot.cms.name,
        version=snapshot.cms.version,
        url=snapshot.cms.url,
    )


def _known(marks: Mapping[str, str] | None) -> dict[str, str]:
    return {name: text for name, text in (marks or {}).items() if not name.startswith(ROWS)}
