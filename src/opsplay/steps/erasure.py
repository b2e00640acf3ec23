"""Erase a person from a site, as the ledger of erasures says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Erase
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class Erasure(Step[None], kind="erasure"):
    """Carry out requests that `invoke erase` wrote into the site's ledger of erasures.

    Restores and drills do this by themselves. The step is for a site that lives: rows are deleted
    or overwritten in its database, and looked at again. Nothing personal stands in the playbook
    or in the journal, the request's name alone.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"

    requests: tuple[str, ...] = param(
        "The requests, as `invoke erasures` names them.",
        examples=[["20261122T053107-3f9a1c"]],
        minItems=1,
        uniqueItems=True,
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        for name in self.requests:
            yield Change(
                what=f"erasure {name}",
                before=f"perhaps still in the database of {site.here.name}",
                after="erased",
                do=Erase((name,)),
                loses="what is erased: there is no way back, and none is wanted",
            )
