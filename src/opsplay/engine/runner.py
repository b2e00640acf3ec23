"""Carry out a plan on all its sites: batches, threads, and one exit status for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from opsplay.core.errors import ExitStatus
from opsplay.core.event import State
from opsplay.core.playbook import Playbook
from opsplay.engine.batches import batches, too_many
from opsplay.engine.context import Context
from opsplay.engine.history import history_of
from opsplay.engine.plan import Plan, SitePlan
from opsplay.engine.site_run import SiteResult, carry_out
from opsplay.engine.tools import Tools

_WORST_FIRST = (
    ExitStatus.INTERRUPTED,
    ExitStatus.FAILED,
    ExitStatus.ROLLED_BACK,
    ExitStatus.INVALID,
    ExitStatus.UNREACHABLE,
    ExitStatus.LOCKED,
    ExitStatus.WAITING,
    ExitStatus.DONE,
)


def run_plan(tools: Tools, run: str, playbook: Playbook, plan: Plan) -> tuple[SiteResult, ...]:
    """Carry out a plan, batch after batch; sites that an earlier attempt finished are left alone.

    When too many sites of a batch fail, the line stops: the sites behind it are journalled as
    skipped and not touched.
    """
    results: list[SiteResult] = []
    groups = list(batches(plan.sites, playbook.serial))
    for number, group in enumerate(groups):
        done = _batch(tools, run, playbook, group)
        results.extend(done)
        failed = sum(result.exit_status != ExitStatus.DONE for result in done)
        if too_many(failed, len(done), playbook.max_fail_percentage) or tools.stop.requested:
            reason = f"{failed} of {len(done)} sites of the batch before failed: the line stopped"
            reason = "stopped on request before its turn" if tools.stop.requested else reason
            behind = [site for rest in groups[number + 1 :] for site in rest]
            results.extend(_leave(tools, run, behind, reason))
            break
    return tuple(results)


def exit_status_of(results: Iterable[SiteResult]) -> ExitStatus:
    """Return the one exit status of a run: the worst of its sites'."""
    statuses = {result.exit_status for result in results}
    return next((status for status in _WORST_FIRST if status in statuses), ExitStatus.DONE)


def state_of_run(status: ExitStatus, results: Iterable[SiteResult]) -> State:
    """Return the state that the list of runs shows."""
    by_status: Mapping[ExitStatus, State] = {
        ExitStatus.ROLLED_BACK: State.ROLLED_BACK,
        ExitStatus.UNREACHABLE: State.UNREACHABLE,
        ExitStatus.WAITING: State.WAITING,
        ExitStatus.INTERRUPTED: State.UNKNOWN,
    }
    if status == ExitStatus.DONE:
        changed = any(result.state == State.CHANGED for result in results)
        return State.CHANGED if changed else State.OK
    return by_status.get(status, State.FAILED)


def _batch(
    tools: Tools, run: str, playbook: Playbook, group: Iterable[SitePlan]
) -> list[SiteResult]:
    plans = list(group)
    with ThreadPoolExecutor(max_workers=min(tools.concurrency, len(plans))) as pool:
        futures = [pool.submit(_site, tools, run, playbook, plan) for plan in plans]
        pending = set(futures)
        while pending:
            # A short wait keeps the main thread free to hear Ctrl-C.
            _, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        return [future.result() for future in futures]


def _site(tools: Tools, run: str, playbook: Playbook, plan: SitePlan) -> SiteResult:
    history = history_of(tools.events(run), plan.site.name)
    if history.state is not None:
        return _as_journalled(tools, run, plan.site.name, history.state)
    context = Context(tools, run, playbook, plan.site, history, dict(plan.known))
    try:
        return carry_out(context, plan)
    except Exception as error:  # noqa: BLE001 - a defect met on one site must not stop the others
        return _defect(context, error)


def _defect(context: Context, error: Exception) -> SiteResult:
    detail = f"opsplay itself failed: {type(error).__name__}: {error}"
    result = SiteResult(context.site.name, State.UNKNOWN, ExitStatus.FAILED, detail)
    context.write(
        "site_finished",
        state=result.state,
        detail=detail,
        exit_status=int(result.exit_status),
        downtime_seconds=round(context.downtime, 3),
    )
    return result


def _as_journalled(tools: Tools, run: str, site: str, state: State) -> SiteResult:
    ends = [
        event for event in tools.events(run) if event.kind == "site_finished" and event.site == site
    ]
    data = ends[-1].data
    return SiteResult(site, state, ExitStatus(data["exit_status"]), str(data["detail"]))


def _leave(tools: Tools, run: str, plans: Iterable[SitePlan], reason: str) -> list[SiteResult]:
    results = []
    for plan in plans:
        name = plan.site.name
        data = {"state": State.SKIPPED, "detail": reason, "exit_status": 0, "downtime_seconds": 0}
        tools.record.append(run, "site_finished", name, data)
        results.append(SiteResult(name, State.SKIPPED, ExitStatus.DONE, reason))
    return results
