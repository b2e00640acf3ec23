"""Carry out a smoke test: look, wait for caches to let go of old code, judge, read PHP's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opsplay.core.action import Page, Visit
from opsplay.core.drivers import LogPosition
from opsplay.core.errors import StepFailed, Unreachable
from opsplay.engine.context import RESET_HEADER, Context, Surroundings
from opsplay.engine.pages import Sight
from opsplay.engine.visit import certificate_days, judge, judge_certificate, look, new_errors
from opsplay.kit.shell import quote

_PAUSE = 1.0
_LOG_BYTES = 262144
_RESET = 0.5
"""Seconds to give PHP's workers when OPcache was told to let go and said so."""
_STALE = 3.0
"""Seconds to wait where OPcache cannot be told to let go: its default of 2, and one more."""


def baseline(context: Context, visit: Visit, environment: str) -> dict[str, Any]:
    """Return how the pages look before anything is changed, and where PHP's log ends, as data."""
    yardstick = visit.compare_with
    sights: tuple[Sight, ...] = ()
    if yardstick and yardstick in context.site.environments:
        sights = look(visit, context.at(yardstick).here.url)
    log = LogPosition("", 0)
    if visit.error_log:
        log = context.ask(environment, context.at(environment).cms.error_log())
    if yardstick == environment:
        _insist_that_it_works(visit, sights)
    return {
        "environment": environment,
        "pages": [sight.to_data() for sight in sights],
        "log": {"path": log.path, "bytes": log.bytes},
    }


def _insist_that_it_works(visit: Visit, sights: tuple[Sight, ...]) -> None:
    complaints = judge(visit, sights)
    if complaints:
        raise StepFailed(
            "the site fails its smoke test before anything is changed: " + "; ".join(complaints),
            state="nothing was changed",
            next_command="mend the site or the smoke_test of the playbook, then run again",
        )


def as_before(visit: Visit, before: Mapping[str, Any]) -> Visit:
    """Return the visit that asks only whether the pages are again what they were. Pure.

    For after a rollback: what the playbook wishes for beyond that failed before, or is why.
    """
    statuses = {str(page["path"]): int(page["status"]) for page in before["pages"]}
    pages = tuple(
        Page(page.path, status=statuses[page.path], redirects_to=page.redirects_to, max_seconds=60)
        for page in visit.pages
        if statuses.get(page.path)
    )
    return replace(visit, pages=pages, tls_days=0, error_log=False)


def smoke(context: Context, visit: Visit, around: Surroundings) -> str:
    """Look at the pages and return what was seen in one line.

    Raises StepFailed with every complaint, in a shop owner's words.
    """
    site, before = context.at(around.environment), around.baseline
    old = tuple(Sight.from_data(page) for page in before["pages"]) if before else ()
    patience = _patience(context, visit, around)
    sights, complaints = _look_until_settled(context, visit, around, old, patience)
    complaints += _certificate(site.here.url, visit) + _log_errors(context, visit, around)
    if complaints:
        raise StepFailed("; ".join(complaints))
    slowest = max((sight.seconds for sight in sights), default=0.0)
    pages = "1 page" if len(sights) == 1 else f"{len(sights)} pages"
    return f"{pages} as expected, slowest {slowest:.2f} s"


def _look_until_settled(
    context: Context, visit: Visit, around: Surroundings, old: tuple[Sight, ...], patience: float
) -> tuple[tuple[Sight, ...], tuple[str, ...]]:
    site, clock = context.at(around.environment), context.tools.clock
    signs = site.cms.fatal_signs
    ends = clock.monotonic() + patience
    while True:
        sights = look(visit, site.here.url, headers=around.headers, fatal_signs=signs)
        complaints = judge(visit, sights, old, signs)
        if not complaints or clock.monotonic() >= ends:
            return sights, complaints
        clock.sleep(_PAUSE)


def _patience(context: Context, visit: Visit, around: Surroundings) -> float:
    """Return how long complaints may still be those of a cache, in seconds."""
    # OPcache goes on serving old code for opcache.revalidate_freq (2 s by default): a fatal that
    # was just installed would not be seen. The closed door resets it on request and says so.
    import httpx

    if not around.touched:
        return 0.0
    url = context.at(around.environment).here.url + "/"
    try:
        answer = httpx.get(url, headers={**around.headers, RESET_HEADER: "1"}, timeout=30)
        done = answer.headers.get(RESET_HEADER) == "done"
    except httpx.HTTPError:
        done = False
    context.tools.clock.sleep(_RESET if done else _STALE)
    return _RESET if done else visit.settle_seconds


def _certificate(url: str, visit: Visit) -> tuple[str, ...]:
    if not url.startswith("https:") or not visit.tls_days:
        return ()
    try:
        return judge_certificate(visit, certificate_days(url))
    except Unreachable as error:
        # The host answers over SSH: this is the site's fault, not a cut line.
        return (f"the certificate cannot be looked at: {error.what}",)


def _log_errors(context: Context, visit: Visit, around: Surroundings) -> tuple[str, ...]:
    before, environment = around.baseline, around.environment
    log = (before or {}).get("log") or {}
    if not visit.error_log or not log.get("path") or before is None:
        return ()
    if before["environment"] != environment:
        return ()
    path, start = quote(str(log["path"])), int(log["bytes"])
    script = (
        f'f={path}; [ -r "$f" ] || exit 0; n=$(wc -c < "$f"); s={start};'
        f' [ "$n" -ge "$s" ] || s=0; tail -c +$((s + 1)) "$f" | head -c {_LOG_BYTES}'
    )
    answer = context.transport(environment).run(script)
    return tuple(f"PHP's log says: {line}" for line in new_errors(answer.stdout))
