"""Look at a site as a visitor would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from opsplay.core.action import Page, Visit
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param


class SmokeTest(Step[None], kind="smoke_test"):
    """Look at pages as a visitor would: status, content, redirects, time, certificate, PHP errors.

    Pages are also compared with how they were before (or how another environment's are), so that a
    page which is merely there does not pass for one that works. Changes nothing.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"
    observes: ClassVar[bool] = True

    pages: tuple[str, ...] = param(
        "Paths that must answer with status 200; the first one is the home page.",
        default=("/",),
        examples=[["/", "/contact/", "/shop/?orderby=price"]],
        minItems=1,
    )
    contains: tuple[str, ...] = param(
        "Texts that the first page must show.", default=(), examples=[["Add to basket"]]
    )
    absent: tuple[str, ...] = param(
        "Texts that no page may show.", default=(), examples=[["Sold out", "Warning:"]]
    )
    redirects: Mapping[str, str] = param(
        "Paths that must lead elsewhere, and where to.",
        default=MappingProxyType({}),
        examples=[{"/old-shop/": "/shop/"}],
    )
    max_seconds: float = param(
        "Longest time a page may take.", default=10.0, examples=[3, 10], exclusiveMinimum=0
    )
    tls_days: int = param(
        "Days that the certificate must stay valid (https only).",
        default=14,
        examples=[14, 30],
        minimum=0,
    )
    error_log: bool = param(
        "Whether new errors in PHP's log fail the test.", default=True, examples=[True, False]
    )
    compare_with: str = param(
        "Environment whose pages, as they were before the stage, are the yardstick; empty: none.",
        default="production",
        examples=["production", ""],
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        pages = (*self._pages(), *self._redirects())
        yield Change(
            what="1 page" if len(pages) == 1 else f"{len(pages)} pages",
            after="as a visitor wants them",
            do=Visit(
                pages,
                compare_with=self.compare_with,
                tls_days=self.tls_days,
                error_log=self.error_log,
                settle_seconds=10.0,
            ),
        )

    def _pages(self) -> Iterator[Page]:
        for number, path in enumerate(self.pages):
            yield Page(
                path,
                contains=self.contains if number == 0 else (),
                absent=self.absent,
                max_seconds=self.max_seconds,
            )

    def _redirects(self) -> Iterator[Page]:
        for path, target in sorted(self.redirects.items()):
            yield Page(path, redirects_to=target, max_seconds=self.max_seconds)
