"""Bring a site back from its vault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Restore as BringBack
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class Restore(Step[None], kind="restore"):
    """Bring files and database back from a snapshot in the site's vault.

    Every part is checked before anything is replaced. The site stays closed to visitors until all
    of it is back. Into another environment than the snapshot's own, the copy is made safe.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"

    snapshot: str = param(
        "Which snapshot, as `invoke backups` names it; `last`: the newest.",
        default="last",
        examples=["last", "20261122T053107-3f9a1c"],
        minLength=1,
    )
    include: tuple[Literal["database", "files"], ...] = param(
        "What is brought back.",
        default=("database", "files"),
        examples=[["database", "files"], ["database"]],
        minItems=1,
        uniqueItems=True,
    )
    paths: tuple[str, ...] = param(
        "Only these files or directories, relative to the site's root; empty: all of it. Each is put"
        " back by itself, what was there is kept on the host, and what came to a directory since"
        " stays.",
        default=(),
        examples=[[], ["wp-content/uploads/2026/11/photo.jpg", "wp-content/themes/shop"]],
        uniqueItems=True,
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        parts = ("files",) if self.paths else self.include
        yield Change(
            what=", ".join(self.paths or parts),
            before=f"as they are on {site.here.name}",
            after=f"as in snapshot {self.snapshot}",
            do=BringBack(self.snapshot, parts, self.paths),
            loses="what was written to the site since the snapshot was taken",
        )
