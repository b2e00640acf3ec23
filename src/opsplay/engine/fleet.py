"""Many sites in one run: their order, their batches, and what earlier attempts left of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType

from opsplay.core.playbook import Playbook
from opsplay.engine.batches import batches
from opsplay.engine.history import SiteHistory
from opsplay.engine.plan import Plan, SitePlan
from opsplay.engine.risk import risk_of

Batches = Sequence[Sequence[str]]
"""Names of sites, batch after batch."""


@dataclass(frozen=True)
class Earlier:
    """What earlier attempts at a run left; nothing when it begins."""

    batches: Batches = ()
    """As they were journalled; empty: they are still to be made."""
    histories: Mapping[str, SiteHistory] = field(default_factory=lambda: MappingProxyType({}))
    """Site → what happened to it."""
    forgiven: frozenset[str] = frozenset()
    """Sites whose failure does not stop the line any more: somebody said to go on past it."""

    def of(self, site: str) -> SiteHistory:
        """Return what happened to a site so far."""
        return self.histories.get(site) or SiteHistory()

    def finished(self, site: str) -> bool:
        """Return whether nothing is to be done to a site any more."""
        return self.of(site).state is not None


NOTHING = Earlier()


def arranged(plan: Plan, playbook: Playbook, fixed: Batches = ()) -> Plan:
    """Return the plan in its order, each site with its batch and the reason for its place.

    `fixed`: the batches of an earlier attempt, which are kept: whoever was behind stays behind.
    """
    told = _ordered(plan.sites, playbook)
    by_name = {one.site.name: one for one in told}
    names: Batches = fixed or list(batches([one.site.name for one in told], playbook.serial))
    sites = (
        replace(by_name[name], batch=number)
        for number, group in enumerate(names, start=1)
        for name in group
        if name in by_name
    )
    return replace(plan, sites=tuple(sites))


def _ordered(sites: Iterable[SitePlan], playbook: Playbook) -> list[SitePlan]:
    if playbook.order != "risk":
        return list(sites)[:: -1 if playbook.order == "reverse_inventory" else 1]
    told = [(risk_of(one), one) for one in sites]
    return [
        replace(one, risk=risk.reason)
        for risk, one in sorted(told, key=lambda pair: (pair[0], pair[1].site.name))
    ]


def batches_of(sites: Iterable[SitePlan]) -> Iterator[tuple[SitePlan, ...]]:
    """Yield the batches of arranged sites."""
    for _, group in groupby(sites, key=attrgetter("batch")):
        yield tuple(group)


def names_of(plan: Plan) -> list[list[str]]:
    """Return an arranged plan's batches as names, for the journal."""
    return [[one.site.name for one in group] for group in batches_of(plan.sites)]
