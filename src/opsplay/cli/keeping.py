"""Verbs about the backups in the vaults: backups, backups.verify, backups.expire, backups.clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from opsplay.cli.given import WHERE, options_of
from opsplay.cli.screen import document, screen, show
from opsplay.cli.verb import REACHING, verb
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.kit.clock import SystemClock

if TYPE_CHECKING:
    from opsplay.app.keeping import Ended

_HUNDRED = 100


@verb(REACHING, word="site", help={"site": "SITE whose backups are listed (all).", **WHERE})
def backups(
    _context: Context,
    site: str = "",
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """List the backups that the vaults hold, newest first, and how far each can be trusted.

    Only sealed ones are listed: those whose every part the storage itself has confirmed. It fails
    when the newest good one is older than the client was promised (`lose_at_most`), when one is
    damaged, not signed or suspect, when one is missing that another follows, and when no drill
    succeeded for longer than was promised (`drill_every`).
    """
    from opsplay.app.keeping import shelves
    from opsplay.reports.backups import alarms_data, backups_data, backups_table, drills_data

    found, now = shelves(options_of(inventory=inventory, state=state), site), SystemClock().now()
    alarms = alarms_data(found)
    if json:
        drills = drills_data(found, now)
        document("backups", {"backups": backups_data(found), "drills": drills, "alarms": alarms})
    else:
        screen().print(backups_table(found, now))
    damaged = any(one.damage for shelf in found for one in shelf.backups)
    return ExitStatus.FAILED if alarms or damaged else ExitStatus.DONE


@verb(
    REACHING,
    word="site",
    name="verify",
    help={
        "site": "SITE whose backups are verified (all).",
        "level": "1: the storage still has all of every backup; 2: the newest is fetched and read through; 3: it is compared with the site (1).",
        "snapshot": "SNAPSHOT to verify, as `backups` lists it, in place of the newest.",
        "sample": "PERCENT of the packs of earlier backups that level 2 reads (100).",
        **WHERE,
    },
)
def verify(
    _context: Context,
    site: str = "",
    level: int = 1,
    snapshot: str = "",
    sample: int = _HUNDRED,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Prove that backups are whole, by levels; keep the signed verdicts beside them.

    Level 1 asks the storage for every object: size, SHA-256, version and lock, and checks the
    signatures and the chain of all manifests. Level 2 needs the age identity. What is damaged is
    named, object by object, and fails the verb.
    """
    from opsplay.app import keeping
    from opsplay.reports.backups import verdict_data, verdicts_text

    if not 0 <= sample <= _HUNDRED:
        raise InvalidInput(f"--sample {sample}: a share goes from 0 to {_HUNDRED} per cent")
    good = True
    options = options_of(inventory=inventory, state=state)
    for one in keeping.verify(options, site, level=level, snap=snapshot, sample=sample):
        good = good and one.good
        if json:
            rows = [verdict_data(verdict) for verdict in one.verdicts]
            wrong = [str(damage) for damage in one.damage]
            document("verified", {"site": one.site, "verdicts": rows, "damage": wrong})
        else:
            show(verdicts_text(one.site, one.verdicts, one.damage))
    return ExitStatus.DONE if good else ExitStatus.FAILED


@verb(
    REACHING,
    word="site",
    name="expire",
    help={
        "site": "SITE whose backups expire (all).",
        "check": "Say what would go, what stays and why; delete nothing.",
        **WHERE,
    },
)
def expire(
    context: Context,
    site: str = "",
    check: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Delete the backups whose time is over by the site's plan.

    With the vault's second credential (`expiry_access_key`), the only one that may delete. Only the
    storage's own dates and locks count, and a backup only goes when three newer ones were verified
    at level 2. What failed attempts left goes as well.
    """
    from opsplay.app import keeping

    options, good = options_of(inventory=inventory, state=state), True
    for one in keeping.expire(options, site, check=check or context.config.run.dry):
        good = _tell(one, json=json) and good
    return ExitStatus.DONE if good else ExitStatus.FAILED


def _tell(ended: Ended, *, json: bool) -> bool:
    """Show what an expiry does or did; return whether there is nothing to look at."""
    from opsplay.reports.expiry import expiry_data, expiry_text

    expiry, expired = ended.expiry, ended.expired
    told = [*expiry.remarks, *map(str, expired.refused if expired else ())]
    if json:
        deleted = {"objects": expired.objects, "bytes": expired.bytes} if expired else None
        ending = {"site": expiry.site, "remarks": told, "deleted": deleted}
        document("expiry", {**expiry_data(expiry.backups, expiry.objects), **ending})
    else:
        show(expiry_text(expiry.site, expiry.backups, expiry.objects, expiry.locked, told))
    return not told


@verb(
    REACHING,
    positional=["site", "snapshot"],
    name="clear",
    help={
        "site": "SITE whose backup it is.",
        "snapshot": "SNAPSHOT that is suspect, as `backups` lists it.",
        **WHERE,
    },
)
def clear(
    _context: Context,
    site: str,
    snapshot: str,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> None:
    """Give your word that a suspect backup is no damage: a new design, say, and no ransomware.

    It is kept beside the backup, signed, with your login name. Older backups may then expire again.
    """
    from opsplay.app import keeping

    verdict = keeping.clear(options_of(inventory=inventory, state=state), site, snapshot)
    if json:
        document("cleared", {"site": site, "snapshot": verdict.snap, "by": verdict.by})
    else:
        show(f"{site}: backup {verdict.snap} is no damage, says {verdict.by}")
