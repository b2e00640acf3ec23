"""Whose turn it is: sites in order, but never too many of them on one host at a time. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from opsplay.core.environment import Host
from opsplay.engine.plan import SitePlan

Machine: TypeAlias = tuple[str, int]
"""Address and port: sites with users of their own on one server are its guests all the same."""


def machines_of(plan: SitePlan) -> frozenset[Machine]:
    """Return where something will be done to a site; asking and looking are not counted."""
    environments = {stage.stage.environment for stage in plan.stages if stage.pending}
    known = plan.site.environments
    return frozenset(_machine(known[name].host) for name in environments if name in known)


def _machine(host: Host) -> Machine:
    return host.address, host.port


@dataclass
class Turns:
    """Hands out sites, each once. A full host holds up its own sites and no others."""

    waiting: deque[SitePlan]
    per_host: int
    _busy: dict[Machine, int] = field(default_factory=dict)
    _parked: dict[Machine, deque[SitePlan]] = field(default_factory=dict)
    """By the full host that each waits for: nobody looks at them before something ends there."""
    _freed: set[Machine] = field(default_factory=set)

    @classmethod
    def of(cls, plans: Sequence[SitePlan], per_host: int) -> Turns:
        """Return turns for `plans`, in their order."""
        return cls(deque(plans), per_host)

    def next(self) -> SitePlan | None:
        """Return a site that may begin now; None while every host with work left is full."""
        while (plan := self._candidate()) is not None:
            machines = machines_of(plan)
            full = next((one for one in sorted(machines) if self._full(one)), None)
            if full is not None:
                self._parked.setdefault(full, deque()).append(plan)
                continue
            for one in machines:
                self._busy[one] = self._busy.get(one, 0) + 1
            return plan
        return None

    def _candidate(self) -> SitePlan | None:
        for one in sorted(self._freed):
            if not self._full(one) and self._parked.get(one):
                return self._parked[one].popleft()
            self._freed.discard(one)
        return self.waiting.popleft() if self.waiting else None

    def _full(self, machine: Machine) -> bool:
        return self._busy.get(machine, 0) >= self.per_host

    def ended(self, plan: SitePlan) -> None:
        """Note that a site is done with: others on its hosts have their turn."""
        for one in machines_of(plan):
            self._busy[one] -= 1
            self._freed.add(one)

    def rest(self) -> tuple[SitePlan, ...]:
        """Return the sites that did not begin, and hand out none of them any more."""
        left = [*self.waiting, *(plan for parked in self._parked.values() for plan in parked)]
        self.waiting.clear()
        self._parked.clear()
        return tuple(left)
