"""Bring the CMS itself to a newer version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Self, cast

from opsplay.core.action import Shell
from opsplay.core.change import Change
from opsplay.core.drivers import Facts, Offer
from opsplay.core.errors import StepFailed
from opsplay.core.query import Query
from opsplay.core.site import Site
from opsplay.core.step import Step, param
from opsplay.core.version import order

_LOSES = "the database stays in the new version's form, unless a restore point is put back"


class CmsUpdate(Step[Facts], kind="cms_update"):
    """Bring the CMS to a newer version, and its database to the schema of that version.

    An update source that does not answer is an error, never "up to date". Whatever the update
    command says, the version is read back from files and database.
    """

    to: str = param(
        "`minor`: newest of the series in use · `latest` · `rehearsed`: exactly what an earlier "
        "stage of this playbook brought to another environment · or an exact version.",
        default="minor",
        examples=["minor", "latest", "rehearsed", "6.5.5"],
        pattern=r"^(minor|latest|rehearsed|[0-9]+(\.[0-9]+)*(-?[A-Za-z]+[0-9]*)?)$",
    )

    def probe(self, site: Site) -> Query[Facts]:
        return site.cms.facts()

    def plan(self, site: Site, seen: Facts) -> Iterator[Change]:
        wanted = self._wanted(site, seen)
        if wanted is not None:
            yield _update(site, seen, wanted.version, wanted.package)
        elif seen.database_version != seen.wanted_database_version:
            yield _migration(site, seen)

    def forecast(self, rehearsal: Step[Facts] | None) -> Self:
        if self.to == "rehearsed" and isinstance(rehearsal, CmsUpdate):
            return replace(self, to=rehearsal.to)
        return self

    def rehearsed(self, changes: Iterable[Mapping[str, str]]) -> Self:
        if self.to != "rehearsed":
            return self
        brought = {change["key"]: change for change in changes}
        core = brought.get("core", {})
        exact = RehearsedCmsUpdate(
            to=self.to, version=core.get("version", ""), package=core.get("package", "")
        )
        return cast("Self", exact)

    def _wanted(self, site: Site, seen: Facts) -> Offer | None:
        if self.to == "rehearsed":
            raise StepFailed(
                "nothing was rehearsed in this run, so nothing can be published",
                site=site.name,
                state="nothing was changed",
            )
        begun = seen.unfinished.get("core")
        if begun and (seen.source_error or order(self.to) == order(begun.version)):
            return begun  # the source cannot be asked while half a core does not start
        if order(self.to) == order(seen.version) and not begun:
            return None
        if seen.source_error:
            raise StepFailed(
                f"the update server could not be asked ({seen.source_error})",
                site=site.name,
                state=f"nothing was changed: {site.cms.title} {seen.version}",
                next_command="repeat the run later",
            )
        return self._chosen(site, seen)

    def _chosen(self, site: Site, seen: Facts) -> Offer | None:
        sizes = {"minor": {"minor"}, "latest": {"minor", "major"}}
        if self.to in sizes:
            fitting = [offer for offer in seen.offers if offer.size in sizes[self.to]]
            newest = fitting[-1] if fitting else None
            return _newer(newest, seen.unfinished.get("core"))
        for offer in seen.offers:
            if order(offer.version) == order(self.to):
                return offer
        if begun := seen.unfinished.get("core"):
            raise _mixture(site, begun.version)
        offered = ", ".join(offer.version for offer in seen.offers) or "nothing"
        raise StepFailed(
            f"{site.cms.title} {self.to} is not offered (offered: {offered})",
            site=site.name,
            state=f"nothing was changed: {site.cms.title} {seen.version}",
        )


class RehearsedCmsUpdate(CmsUpdate):
    """What `to: rehearsed` becomes after the rehearsal: one version, from one package."""

    version: str = param("Version that the rehearsal brought; empty: none.", default="")
    package: str = param("Where its package came from.", default="")

    def plan(self, site: Site, seen: Facts) -> Iterator[Change]:
        begun = seen.unfinished.get("core")
        if not self.version:
            if begun:
                yield _update(site, seen, begun.version, begun.package)
            return
        if order(seen.version) > order(self.version):
            raise StepFailed(
                f"{site.cms.title} is at {seen.version} here, newer than the rehearsed "
                f"{self.version}: somebody else updated it",
                site=site.name,
                state="nothing was changed",
                next_command="run the playbook again",
            )
        if begun or order(seen.version) < order(self.version):
            yield _update(site, seen, self.version, self.package)
        elif seen.database_version != seen.wanted_database_version:
            yield _migration(site, seen)


def _newer(offer: Offer | None, begun: Offer | None) -> Offer | None:
    if offer is None or begun is None:
        return offer or begun
    return offer if order(offer.version) > order(begun.version) else begun


def _mixture(site: Site, begun: str) -> StepFailed:
    return StepFailed(
        f"an update of {site.cms.title} to {begun} was begun and never finished: its files may be "
        "a mixture",
        site=site.name,
        state="nothing was changed",
        next_command=f"finish it with `cms_update: {{to: {begun}}}`, or take that run back",
    )


def _update(site: Site, seen: Facts, version: str, package: str) -> Change:
    return Change(
        what=site.cms.title,
        before=seen.version,
        after=version,
        do=Shell(site.cms.update_core(version, package)),
        undo=Shell(site.cms.put_back_core()),
        loses=_LOSES,
        key="core",
        version=version,
        package=package,
        covered=True,
    )


def _migration(site: Site, seen: Facts) -> Change:
    return Change(
        what="database schema",
        before=seen.database_version or "unknown",
        after=seen.wanted_database_version,
        do=Shell(site.cms.update_core(seen.version, "")),
        loses=_LOSES,
        key="core",
        version=seen.version,
        covered=True,
    )
