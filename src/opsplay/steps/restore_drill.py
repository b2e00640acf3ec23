"""Prove a backup by restoring it where nobody is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Drill
from opsplay.core.certificate import seconds_of
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class RestoreDrill(Step[None], kind="restore_drill"):
    """Restore a snapshot to a scratch environment, start it, look at it, measure, and certify.

    The site's `drill` environment is used where it has one; else a database, PHP and a web server
    are started on this machine for as long as the drill takes. Everything comes from the vault: the
    site's own host is never asked, and need not exist any more. The scratch environment is
    destroyed in any case. What is missing, and a promise that was not kept, fail the drill (exit
    status 7); the signed certificate says so.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"
    observes: ClassVar[bool] = True
    on_host: ClassVar[bool] = False

    snapshot: str = param(
        "Which snapshot, as `invoke backups` names it; `last`: the newest good one.",
        default="last",
        examples=["last", "20261122T053107-3f9a1c"],
        minLength=1,
    )
    pages: tuple[str, ...] = param(
        "Paths of the restored site that must answer with status 200.",
        default=("/",),
        examples=[["/", "/contact/", "/shop/"]],
        minItems=1,
    )
    contains: tuple[str, ...] = param(
        "Texts that the first page must show.", default=(), examples=[["Add to basket"]]
    )
    give_up_after: str = param(
        "Time after which the drill is ended; its verdict is then TIMED_OUT.",
        default="12h",
        examples=["90m", "12h", "2d"],
        pattern="^[1-9][0-9]*(m|h|d)$",
        patternErrorMessage="must be a time such as 30m, 4h or 2d",
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        where = "the drill environment" if "drill" in site.environments else "a scratch environment"
        yield Change(
            what=f"restore of snapshot {self.snapshot}",
            after=f"proved in {where}",
            do=Drill(self.snapshot, self.pages, self.contains, seconds_of(self.give_up_after)),
        )
