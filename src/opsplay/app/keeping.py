"""Use cases that keep backups trustworthy: how they stand, verify them, expire them, clear one."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from opsplay.app.options import Options
from opsplay.app.workshop import Workshop, load_kinds
from opsplay.core.certificate import promised
from opsplay.core.certificate import span as in_words
from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput
from opsplay.core.playbook import Inventory
from opsplay.core.retention import plan_named
from opsplay.core.site import Site
from opsplay.core.verdict import LISTED, Backup, Shelf
from opsplay.language.read import read_inventory
from opsplay.language.sites import select_sites

if TYPE_CHECKING:
    from opsplay.core.snapshot import Snapshot
    from opsplay.core.vault import Vault, VaultSettings
    from opsplay.core.verdict import Damage, Verdict
    from opsplay.engine.expire import Expired, Expiry
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
    inventory, sites = _sites(options, site)
    with Workshop(options, inventory) as workshop:
        return tuple(_shelf(workshop, one) for one in sites)


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
    from opsplay.engine.verify import Verification
    from opsplay.engine.verify_read import Reading

    inventory, sites = _sites(options, site)
    if snap and len(sites) != 1:
        raise InvalidInput("a snapshot belongs to one site: name it")
    with Workshop(options, inventory) as workshop:
        for one in sites:
            vault, settings = _vault(workshop, one)
            here = workshop.transport(Host("local"))
            yield Verification(
                vault=vault,
                site=one.name,
                clock=workshop.clock,
                signer=workshop.keys.signer(settings),
                trusted=workshop.keys.trusted(settings),
                reading=Reading(
                    vault, settings, here, workshop.clock, options.progress, sample / 100
                ),
                compare=_Comparison(workshop, one, vault, settings),
            ).at(level, snap)


def expire(options: Options, site: str = "", *, check: bool = False) -> Iterator[Ended]:
    """Take away what the plan no longer keeps, of one site or of all; `check`: only look."""
    from opsplay.engine.expire import carry_out, planned
    from opsplay.vaults import open_vault

    inventory, sites = _sites(options, site)
    with Workshop(options, inventory) as workshop:
        for one in sites:
            reader, settings = _vault(workshop, one)
            deleter, now = open_vault(settings, expiring=True), workshop.clock.now()
            trusted = workshop.keys.trusted(settings)
            expiry = planned(reader, deleter, one.name, plan_named(one.plan), trusted, now)
            if check:
                yield Ended(expiry)
                continue
            signer = workshop.keys.signer(settings)
            yield Ended(expiry, carry_out(expiry, reader, deleter, signer, now))


def clear(options: Options, site: str, snap: str) -> Verdict:
    """Keep a person's word that a suspect backup is no damage."""
    from opsplay.engine.verify import give_word
    from opsplay.engine.verify_known import known

    inventory, sites = _sites(options, site)
    if len(sites) != 1:
        raise InvalidInput("a snapshot belongs to one site: name it")
    with Workshop(options, inventory) as workshop:
        vault, settings = _vault(workshop, sites[0])
        signer = workshop.keys.signer(settings)
        found = known(vault, sites[0].name, workshop.keys.trusted(settings)).find(snap)
        if not found.suspect:
            raise InvalidInput(f"backup {snap} is not suspect")
        return give_word(vault, found, signer, workshop.clock.now(), getpass.getuser())


class _Comparison:
    """Compares a backup with the living site it was taken from."""

    def __init__(
        self, workshop: Workshop, site: Site, vault: Vault, settings: VaultSettings
    ) -> None:
        self._workshop = workshop
        self._site = site
        self._vault = vault
        self._settings = settings

    def __call__(self, snapshot: Snapshot) -> tuple[tuple[Damage, ...], str]:
        from opsplay.engine.snapshots import entries
        from opsplay.engine.store_survey import hashes, survey
        from opsplay.engine.verify_spot import Spot

        if snapshot.index is None:
            return (), "it holds no list of files: not compared with the site"
        site = self._site.at(snapshot.environment)
        transport, root = self._workshop.transport(site.here.host), site.here.root
        left_out = site.cms.files_left_out(snapshot.source.excludes)
        living = survey(transport, root, left_out, site.name)
        saved = entries(self._vault, snapshot, self._settings)
        spot = Spot.of(snapshot.index.segment.key, saved, living.entries)
        sampled = spot.sample()
        return spot.judged(sampled, hashes(transport, root, sampled, site.name))


def _sites(options: Options, site: str) -> tuple[Inventory, tuple[Site, ...]]:
    load_kinds()
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    sites = select_sites(inventory, "all", site or options.limit)
    return inventory, tuple(one for one in sites if one.vault)


def _vault(workshop: Workshop, site: Site) -> tuple[Vault, VaultSettings]:
    from opsplay.engine.keys import keyed

    vault, settings = workshop.vault(site.vault)
    return vault, keyed(settings, site, workshop.redactor.learn)


def _shelf(workshop: Workshop, site: Site) -> Shelf:
    from opsplay.engine.verify import links
    from opsplay.engine.verify_known import known, with_fates, with_locks

    vault, settings = _vault(workshop, site)
    trusted, now = workshop.keys.trusted(settings), workshop.clock.now()
    found = known(vault, site.name, trusted)
    backups = with_fates(with_locks(vault, found.backups), plan_named(site.plan), now)
    damage = (*found.damage, *links(vault, found, trusted))
    alarms = tuple(_alarms(site, backups, now, signed=bool(trusted)))
    return Shelf(site.name, site.plan, backups, damage, alarms, signed=bool(trusted))


def _alarms(
    site: Site, backups: tuple[Backup, ...], now: datetime, *, signed: bool
) -> Iterator[str]:
    here = [one for one in backups if one.snapshot.environment == "production"]
    good = [one for one in here if (one.signer or not signed) and not one.damage]
    whole = [one for one in good if not one.suspect and "database" in one.snapshot.parts]
    newest = max((one.snapshot.started_at for one in whole), default=None)
    most = promised(site.promises, "lose_at_most")
    if most is not None and newest is None:
        yield f"there is no good backup; promised: to lose at most {in_words(most)}"
    elif most is not None and newest and (age := (now - newest).total_seconds()) > most:
        yield f"the newest good backup is {in_words(age)} old; promised: {in_words(most)}"
    for one in backups:
        if one.suspect:
            why = "; ".join(one.snapshot.suspect)
            yield f"{one.snapshot.snap} is suspect: {why}. Older ones are kept until it is cleared"
    plan = plan_named(site.plan)
    late = [one for one in backups if now - plan.longest(one.stored) > _OVERDUE]
    if late and late[0].fate:
        why = late[0].fate.why
        yield f"{len(late)} backups are older than the plan {plan.name} allows: {why}"
