"""Take away the backups that nobody promised to keep any longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Expire
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step


class ExpireBackups(Step[None], kind="expire_backups"):
    """Delete the site's backups whose time is over by its plan, as `invoke backups.expire` does.

    With the vault's second credential (`expiry_access_key`), the only one that may delete. Only the
    storage's own dates and locks count, and a backup only goes when three newer ones were verified
    at level 2: `verify_backups` before it lets more go. The site's host is not needed.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"
    on_host: ClassVar[bool] = False

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        years = f" and {site.keep_years} years by contract" if site.keep_years else ""
        yield Change(
            what="backups whose time is over",
            before=f"in {site.vault}" if site.vault else "",
            after=f"deleted by plan {site.plan}{years}",
            do=Expire(),
            loses="what is deleted: there is no way back",
        )
