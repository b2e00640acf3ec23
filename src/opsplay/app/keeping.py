"""Use cases that keep backups trustworthy: how they stand, verify them, expire them, clear one."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from opsplay.app.options import Options
from opsplay.app.workshop import Workshop, load_kinds
from opsplay.core.certificate import promised
from opsplay.core.errors import InvalidInput
from opsplay.core.verdict import LISTED, Backup, Shelf
from opsplay.kit.wording import about
from opsplay.language.read import read_inventory
from opsplay.language.sites import select_sites

if TYPE_CHECKING:
    from opsplay.core.drill_promise import DrillPromise
    from opsplay.core.verdict import Verdict
    from opsplay.engine.expire import Expired, Expiry
    from opsplay.engine.upkeep import Upkeep
    from opsplay.engine.verify import Verified

_OVERDUE = timedelta(days=7)
"""How much longer than planned a backup may stay before somebody is told."""


@dataclass(frozen=True)
class Ended:
    """What an expiry would do, and what it did; None: it only looked."""

    expiry: Expiry
    expired: Expired | None = None


def shelves(options: Options, site: str = "") -> tuple[Shelf, ...]:
    """Return how the backups of one site or of all stand; nothing but small objects is fetched."""
    with _upkeeps(options, site) as every:
        return tuple(map(_shelf, every))


def verify(
    options: Options, site: str = "", *, level: int = LISTED, snap: str = "", sample: int = 100
) -> Iterator[Verified]:
    """Verify the backups of one site or of all; yield what each gave, and keep signed verdicts.

    Args:
        options: where things are.
        site: its name; empty: all that keep backups.
        level: as in `core.verdict`: 1 for all backups, 2 and 3 for the newest of each environment.
        snap: only this one.
        sample: per cent of the inherited packs that level 2 looks into.
    """
    with _upkeeps(options, site, alone=bool(snap)) as every:
        for one in every:
            yield one.verify(level, snap, sample)


def expire(options: Options, site: str = "", *, check: bool = False) -> Iterator[Ended]:
    """Take away what the plan no longer keeps, of one site or of all; `check`: only look."""
    with _upkeeps(options, site) as every:
        for one in every:
            expiry = one.expiry()
            yield Ended(expiry, None if check else one.expire(expiry))


def clear(options: Options, site: str, snap: str) -> Verdict:
    """Keep a person's word that a suspect backup is no damage."""
    from opsplay.engine.verify import give_word

    with _upkeeps(options, site, alone=True) as (one,):
        found = one.known().find(snap)
        if not found.suspect:
            raise InvalidInput(f"backup {snap} is not suspect")
        signer = one.signer(one.settings)
        return give_word(one.vault, found, signer, one.clock.now(), getpass.getuser())


@contextmanager
def _upkeeps(options: Options, site: str, *, alone: bool = False) -> Iterator[Iterator[Upkeep]]:
    """Give the upkeep of one site or of all that keep backups; `alone`: only one may be meant."""
    load_kinds()
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    sites = [one for one in select_sites(inventory, "all", site or options.limit) if one.vault]
    if alone and len(sites) != 1:
        raise InvalidInput("a snapshot belongs to one site: name it")
    with Workshop(options, inventory) as workshop:
        yield map(workshop.upkeep, sites)


def _shelf(upkeep: Upkeep) -> Shelf:
    from opsplay.engine.drill_last import drill_promise
    from opsplay.engine.verify import links
    from opsplay.engine.verify_known import with_fates, with_locks

    site, vault, trust = upkeep.site, upkeep.vault, upkeep.trust
    found, now, trusted = upkeep.known(), trust.now, trust.keys
    fated = with_fates(with_locks(vault, found.backups), upkeep.plan, now)
    backups = tuple(replace(one, doubt=trust.doubt(one)) for one in fated)
    damage = (*found.damage, *links(vault, found, trusted))
    drills = drill_promise(site, vault, found, trusted)
    alarms = (*_alarms(upkeep, backups, now), *_drill_alarm(drills, now))
    return Shelf(
        site.name, site.plan, backups, damage, alarms, signed=bool(trusted), drills=drills
    )  # fmt: skip


def _drill_alarm(drills: DrillPromise | None, now: datetime) -> Iterator[str]:
    if drills and drills.overdue(now):
        yield drills.told(now)


def _alarms(upkeep: Upkeep, backups: tuple[Backup, ...], now: datetime) -> Iterator[str]:
    here = [one for one in backups if one.snapshot.environment == "production"]
    good = [one for one in here if not one.doubt and not one.damage]
    whole = [one for one in good if not one.suspect and "database" in one.snapshot.parts]
    newest = max((one.snapshot.started_at for one in whole), default=None)
    most = promised(upkeep.site.promises, "lose_at_most")
    if most is not None and newest is None:
        yield f"there is no good backup; promised: to lose at most {about(most)}"
    elif most is not None and newest and (age := (now - newest).total_seconds()) > most:
        yield f"the newest good backup is {about(age)} old; promised: {about(most)}"
    for one in backups:
        if one.suspect:
            why = "; ".join(one.snapshot.suspect)
            yield f"{one.snapshot.snap} is suspect: {why}. Older ones are kept until it is cleared"
    yield from _doubts(backups)
    plan = upkeep.plan
    late = [one for one in backups if now - plan.longest(one.stored) > _OVERDUE]
    if late and late[0].fate:
        why = late[0].fate.why
        yield f"{len(late)} backups are older than the plan {plan.name} allows: {why}"


def _doubts(backups: tuple[Backup, ...]) -> Iterator[str]:
    """Yield what does not count, once a reason: a flood of forged ones is one alarm."""
    doubtful: dict[str, list[str]] = {}
    for one in backups:
        if one.doubt:
            doubtful.setdefault(one.doubt, []).append(one.snapshot.key)
    for why, keys in doubtful.items():
        more = f", nor do {len(keys) - 1} like it" if len(keys) > 1 else ""
        yield f"{keys[-1]} {why}: it does not count{more}"
