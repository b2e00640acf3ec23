"""Make a safe copy of another environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Clone
from opsplay.core.change import Change
from opsplay.core.errors import StepFailed
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class StagingClone(Step[None], kind="staging_clone"):
    """Copy files and database of another environment over this one, then make the copy safe.

    Every address is rewritten, no mail leaves, no scheduled task runs, no search engine is let in;
    all of it is read back. The copy keeps its own configuration file with its own database access.
    Never on production.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"

    from_: str = param(
        "Environment that is copied.", default="production", examples=["production", "staging"]
    )

    def copies_from(self) -> str:
        return self.from_

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        if site.here.name in {"production", self.from_}:
            raise StepFailed(
                f"a copy of {self.from_} cannot be made over {site.here.name}",
                site=site.name,
                state="nothing was changed",
                next_command="give the stage `environment: staging`",
            )
        source = site.at(self.from_).here
        yield Change(
            what=site.here.name,
            after=f"a safe copy of {self.from_}",
            do=Clone(self.from_, finish=site.cms.make_clone_safe(source.url)),
            loses=f"what was changed on {site.here.name} since it was last copied",
        )
