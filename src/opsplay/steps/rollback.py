"""Take an earlier run back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import UndoRun
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class Rollback(Step[None], kind="rollback"):
    """Undo what an earlier run did to this environment, newest change first.

    Works from the journal and from the restore point on the host; the CMS need not start.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"

    run: str = param(
        "The run to take back, as `invoke logs` names it; `last`: the last one that changed this "
        "site.",
        default="last",
        examples=["last", "20261122T053107-3f9a1c"],
        minLength=1,
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        yield Change(
            what="the last run" if self.run == "last" else f"run {self.run}",
            after="taken back",
            do=UndoRun(self.run),
            loses="what was written to the site since that run, where its restore point is put back",
        )
