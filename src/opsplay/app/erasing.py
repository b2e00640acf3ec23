"""Use cases of erasure: note a request beside the backups, and carry it out on the live site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsplay.app.bringing_back import played_from
from opsplay.app.options import Options, RunResult
from opsplay.app.workshop import Workshop, load_kinds
from opsplay.core.errors import InvalidInput
from opsplay.core.site import Site
from opsplay.language.read import read_inventory
from opsplay.language.sites import select_sites

if TYPE_CHECKING:
    from opsplay.core.erasure import Entry, Erasure
    from opsplay.engine.erasures import Ledger, Wish


@dataclass(frozen=True)
class Recorded:
    """A request, and what it means."""

    request: Erasure
    rows: int | None
    """Rows of the live site that it means now; None: the site was not asked."""
    kept: bool
    """Whether it is in the ledger; if not, it was only looked at."""


def erase(
    name: str, wish: Wish, options: Options, *, check: bool = False, unseen: bool = False
) -> Recorded:
    """Write a request into a site's ledger; `check`: only say what it would mean.

    The live site is asked first whether table and columns are there, and how many rows are meant,
    unless `unseen`. Raises InvalidInput for more rows than the request may mean.
    """
    load_kinds()
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    site = _with_vault(select_sites(inventory, "all", name))
    opening = Workshop.for_checking if check else Workshop
    with opening(options, inventory) as workshop:
        workshop.redactor.learn(wish.key_value)
        request = wish.on(site.name, options.clock.now())
        rows = None if unseen else _meant(workshop, site, request)
        if not check:
            request = _ledger(workshop, site, writing=True).record(wish, options.clock)
    return Recorded(request, rows, kept=not check)


def erase_live(site: str, request: str, options: Options) -> RunResult:
    """Carry out a request of the ledger on the live site, as a run."""
    load_kinds()
    return played_from("erase", _ERASE.format(site=site, request=request), options)


def erasures(options: Options, site: str = "") -> Mapping[str, tuple[Entry, ...]]:
    """Return site → the entries of its ledger, oldest first; sites without entries are left out."""
    load_kinds()
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    sites = select_sites(inventory, "all", site or options.limit)
    with Workshop(options, inventory) as workshop:
        found = {
            one.name: ledger.entries(ledger.oldest_snapshot() or options.clock.now())
            for one in sites
            if one.vault
            for ledger in (_ledger(workshop, one, writing=False),)
        }
    return {name: entries for name, entries in found.items() if entries}


def _with_vault(sites: tuple[Site, ...]) -> Site:
    if len(sites) != 1:
        raise InvalidInput(f"a request is for one site, not for {len(sites)}")
    if not sites[0].vault:
        raise InvalidInput(
            f"site {sites[0].name} has no `vault`: there are no backups to erase from"
        )
    return sites[0]


def _ledger(workshop: Workshop, site: Site, *, writing: bool) -> Ledger:
    from opsplay.engine.erasures import Ledger
    from opsplay.engine.keys import keyed

    vault, settings = workshop.vault(site.vault)
    settings = keyed(settings, site, workshop.redactor.learn)
    signer = workshop.keys.signer(settings) if writing else None
    return Ledger(site.name, vault, settings, workshop.keys.trusted(settings), signer)


def _meant(workshop: Workshop, site: Site, request: Erasure) -> int:
    from opsplay.engine.erasing import meant

    transport = workshop.transport(site.here.host)
    workshop.declare(transport, site.cms.apply_sql())  # what it is fed with here only counts
    found = meant([request], site, transport)
    if request.id not in found:
        raise InvalidInput(f"{site.name} has no table {request.table}")
    rows = found[request.id]
    if rows > request.at_most:
        raise InvalidInput(
            f"this means {rows} rows of {request.table}: one person, really? If so, say"
            f" --at-most={rows}"
        )
    return rows


_ERASE = """\
name: Erase on {site}
sites: "{site}"
stages:
  - name: Erase
    environment: production
    steps:
      - erasure: {{requests: ["{request}"]}}
"""
