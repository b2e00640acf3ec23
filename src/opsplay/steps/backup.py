"""Save a site into its vault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Store
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class Backup(Step[None], kind="backup"):
    """Save files and database into the site's vault, encrypted on the host.

    The first backup of a month holds every file; later ones hold what changed since. One that looks
    like damage (much changed at once, or is gone) is kept, marked as suspect, and never built upon.
    The step succeeds when the storage itself has confirmed every byte, never earlier.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"

    include: tuple[Literal["database", "files"], ...] = param(
        "What is saved.",
        default=("database", "files"),
        examples=[["database", "files"], ["database"]],
        minItems=1,
        uniqueItems=True,
    )
    exclude: tuple[str, ...] = param(
        "Paths below the root that are left out.",
        default=(),
        examples=[["wp-content/cache", "var/logs"]],
    )
    label: str = param("A word to find the snapshot by.", default="", examples=["before-update"])
    full: bool = param(
        "Save every file anew, not only what changed; says as well that the site is as it should"
        " be, when the last backup was suspect.",
        default=False,
        examples=[True],
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        yield Change(
            what=f"{'full ' if self.full else ''}backup of {', '.join(self.include)}",
            after=f"a snapshot in {site.vault}" if site.vault else "a snapshot",
            do=Store(self.include, self.exclude, self.label, self.full),
        )
