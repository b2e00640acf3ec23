"""Bring plugins, themes or extensions to newer versions, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, Self, cast

from opsplay.core.action import Shell
from opsplay.core.change import Change
from opsplay.core.drivers import Facts, Module, Offer
from opsplay.core.errors import StepFailed
from opsplay.core.query import Query
from opsplay.core.site import Site
from opsplay.core.step import Step, param
from opsplay.core.version import order


class ModuleUpdate(Step[Facts], kind="module_update"):
    """Bring modules (plugins, themes, extensions) to newer versions, one at a time.

    Each is a change of its own, with its own way back. A module that offers a newer version
    without a download (a licence has run out) is an error until it is named in `except`.
    """

    to: Literal["latest", "minor", "rehearsed"] = param(
        "`latest` · `minor`: the same first number · `rehearsed`: exactly what an earlier stage of "
        "this playbook brought to another environment.",
        default="latest",
        examples=["latest", "minor", "rehearsed"],
    )
    only: tuple[str, ...] = param(
        "Modules to update; empty: all.", default=(), examples=[["akismet", "theme:storefront"]]
    )
    except_: tuple[str, ...] = param(
        "Modules to leave alone.", default=(), examples=[["woocommerce"]]
    )

    def probe(self, site: Site) -> Query[Facts]:
        return site.cms.facts()

    def plan(self, site: Site, seen: Facts) -> Iterator[Change]:
        if self.to == "rehearsed":
            raise StepFailed(
                "nothing was rehearsed in this run, so nothing can be published",
                site=site.name,
                state="nothing was changed",
            )
        self._check(site, seen)
        for name, module in sorted(_modules(seen).items()):
            offer = self._wanted(module, seen.unfinished.get(f"module:{name}"))
            if offer is not None and self._meant(name):
                _check_package(site, module, offer.package)
                yield _update(site, module, offer.version, offer.package)

    def forecast(self, rehearsal: Step[Facts] | None) -> Self:
        if self.to != "rehearsed" or not isinstance(rehearsal, ModuleUpdate):
            return self
        left_out = tuple(dict.fromkeys((*self.except_, *rehearsal.except_)))
        return replace(self, to=rehearsal.to, only=self.only or rehearsal.only, except_=left_out)

    def rehearsed(self, changes: Iterable[Mapping[str, str]]) -> Self:
        if self.to != "rehearsed":
            return self
        brought = {
            change["key"].removeprefix("module:"): (change["version"], change["package"])
            for change in changes
            if change["key"].startswith("module:")
        }
        exact = RehearsedModuleUpdate(
            to=self.to, only=self.only, except_=self.except_, brought=MappingProxyType(brought)
        )
        return cast("Self", exact)

    def _wanted(self, module: Module, begun: Offer | None) -> Offer | None:
        offer = module.offer
        if offer is not None and self.to == "minor" and offer.size != "minor":
            offer = None
        if offer is None or begun is None:
            return offer or begun
        return offer if order(offer.version) > order(begun.version) else begun

    def _meant(self, name: str) -> bool:
        return (not self.only or name in self.only) and name not in self.except_

    def _check(self, site: Site, seen: Facts) -> None:
        half = any(self._meant(name) for name in _half_modules(seen))
        if seen.source_error and not half:
            raise StepFailed(
                f"the update server could not be asked ({seen.source_error})",
                site=site.name,
                state="nothing was changed",
                next_command="repeat the run later",
            )
        unknown = sorted({*self.only} - {*_modules(seen)})
        if unknown:
            raise StepFailed(
                f"{', '.join(unknown)} (under `only`) is not installed",
                site=site.name,
                state="nothing was changed",
            )


class RehearsedModuleUpdate(ModuleUpdate):
    """What `to: rehearsed` becomes after the rehearsal: exact versions, from exact packages."""

    brought: Mapping[str, tuple[str, str]] = param(
        "Version and package by module.", default=MappingProxyType({})
    )

    def plan(self, site: Site, seen: Facts) -> Iterator[Change]:
        installed = _modules(seen)
        begun = {
            name: (
                seen.unfinished[f"module:{name}"].version,
                seen.unfinished[f"module:{name}"].package,
            )
            for name in _half_modules(seen)
        }
        for name, (version, package) in sorted({**begun, **self.brought}.items()):
            if not self._meant(name):
                continue
            module = installed.get(name)
            if module is None or order(module.version) > order(version):
                found = f"at {module.version}" if module else "not installed"
                raise StepFailed(
                    f"{_title(site, name)} was rehearsed at {version}, here it is {found}",
                    site=site.name,
                    state="nothing was changed",
                    next_command="run the playbook again",
                )
            if name in begun or order(module.version) < order(version):
                yield _update(site, module, version, package)


def _half_modules(seen: Facts) -> tuple[str, ...]:
    """Return the names of modules whose update was begun and never finished."""
    keys = [key for key in seen.unfinished if key.startswith("module:")]
    return tuple(key.removeprefix("module:") for key in keys)


def _modules(seen: Facts) -> dict[str, Module]:
    """Return the modules by name, with those that a begun update has removed for the moment."""
    half = {name: Module(name, "") for name in _half_modules(seen)}
    return half | {module.name: module for module in seen.modules}


def _check_package(site: Site, module: Module, package: str) -> None:
    if not package:
        raise StepFailed(
            f"{_title(site, module.name)} has a newer version but no download: is its licence valid?",
            site=site.name,
            state="nothing was changed",
            next_command=f"renew the licence, or add `except: [{module.name}]` to the step",
        )


def _title(site: Site, name: str) -> str:
    kind, _, rest = name.rpartition(":")
    return f"{kind or site.cms.module_word} {rest}"


def _update(site: Site, module: Module, version: str, package: str) -> Change:
    return Change(
        what=_title(site, module.name),
        before=module.version,
        after=version,
        do=Shell(site.cms.update_module(module.name, version, package)),
        undo=Shell(site.cms.put_back_module(module.name)),
        loses="what the new version wrote to the database stays, unless a restore point is put back",
        key=f"module:{module.name}",
        version=version,
        package=package,
        covered=True,
    )
