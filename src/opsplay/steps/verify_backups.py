"""Prove that a site's backups are whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Verify
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class VerifyBackups(Step[None], kind="verify_backups"):
    """Verify the site's backups in its vault, as `invoke backups.verify` does; keep signed verdicts.

    Level 1 asks the storage for every object of every backup, and checks the signatures and the
    chain of all manifests. Level 2 fetches the newest backup of each environment and reads it
    through. Level 3 compares it with the living site. Only level 3 needs the site's host. Damage
    fails the step, and names each object.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"
    observes: ClassVar[bool] = True
    on_host: ClassVar[bool] = False

    level: int = param(
        "How deep: 1, 2 or 3, each with those below it.",
        default=1,
        examples=[1, 2],
        minimum=1,
        maximum=3,
    )
    sample: int = param(
        "Per cent of the packs of earlier backups that level 2 reads.",
        default=100,
        examples=[10],
        minimum=0,
        maximum=100,
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        where = f"backups in {site.vault}" if site.vault else "backups"
        yield Change(
            what=where, after=f"verified at level {self.level}", do=Verify(self.level, self.sample)
        )
