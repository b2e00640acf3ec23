"""Carry out a plan on all its sites: batches, threads, and one exit status for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from opsplay.core.errors import ExitStatus, Fenced
from opsplay.core.event import EventKind, State
from opsplay.core.playbook import Playbook
from opsplay.engine.context import Context
from opsplay.engine.fleet import NOTHING, Earlier, batches_of
from opsplay.engine.line import Line, SiteResult
from opsplay.engine.plan import Plan, SitePlan
from opsplay.engine.site_run import carry_out
from opsplay.engine.tools import Tools
from opsplay.engine.turns import Turns

FORKS = 16
"""Sites at work at the same time where nobody said how many."""

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


def run_plan(
    tools: Tools, run: str, playbook: Playbook, plan: Plan, earlier: Earlier = NOTHING
) -> tuple[SiteResult, ...]:
    """Carry out an arranged plan, batch after batch; what an earlier attempt finished is left alone.

    When too many sites of a batch fail, the line stops: the sites behind them are journalled as
    skipped and not touched. Where sites wait, those behind go no further than they.
    """
    work = _Work(tools, run, playbook, earlier)
    results: list[SiteResult] = []
    line = Line()
    for group in batches_of(plan.sites):
        batch = _Batch(work, line, group)
        done = batch.carry_out()
        results.extend(done)
        line = batch.line.behind(done, playbook.stages)
    return tuple(results)


def exit_status_of(results: Iterable[SiteResult]) -> ExitStatus:
    """Return the one exit status of a run: the worst of its sites'."""
    return worst(result.exit_status for result in results)


def worst(statuses: Iterable[ExitStatus]) -> ExitStatus:
    """Return the exit status that says most about what went wrong."""
    met = set(statuses)
    return next((status for status in _WORST_FIRST if status in met), ExitStatus.DONE)


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


@dataclass(frozen=True)
class _Work:
    """One attempt at a run."""

    tools: Tools
    run: str
    playbook: Playbook
    earlier: Earlier

    @property
    def forks(self) -> int:
        return self.tools.concurrency or self.playbook.forks or FORKS

    def context(self, plan: SitePlan) -> Context:
        history = self.earlier.of(plan.site.name)
        return Context(self.tools, self.run, self.playbook, plan.site, history, dict(plan.known))


class _Batch:
    """One batch at work. `line` says what it allows to those behind, and to its own rest."""

    def __init__(self, work: _Work, line: Line, group: Sequence[SitePlan]) -> None:
        self.work = work
        self.line = line
        self.group = group
        self.failed: list[str] = []
        self.results: dict[str, SiteResult] = {}

    def carry_out(self) -> list[SiteResult]:
        """Return the results of all its sites, in their order."""
        work = self.work
        begun: list[SitePlan] = []
        rest: list[SitePlan] = []
        for plan in self.group:
            past = work.earlier.of(plan.site.name)
            if past.state is not None:
                self._note(
                    _as_journalled(plan.site.name, past.state, past.exit_status, past.detail)
                )
            else:
                (begun if past.half_done else rest).append(plan)
        # Whatever the line says: no site is left in the middle of a stage.
        self._at_work(begun, all_of_them=True)
        self._at_work(rest)
        return [self.results[plan.site.name] for plan in self.group]

    def _at_work(self, plans: Sequence[SitePlan], *, all_of_them: bool = False) -> None:
        if not plans:
            return
        turns = Turns.of(plans, self.work.playbook.per_host)
        running: dict[Future[SiteResult], SitePlan] = {}
        with ThreadPoolExecutor(max_workers=min(self.work.forks, len(plans))) as pool:
            while True:
                while len(running) < self.work.forks and (all_of_them or not self._ended()):
                    if (plan := turns.next()) is None:
                        break
                    running[pool.submit(_site, self.work, self.line, plan)] = plan
                if not running:
                    break
                # A short wait keeps the main thread free to hear Ctrl-C.
                for one in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
                    turns.ended(running.pop(one))
                    self._note(one.result())
        self._leave(turns.rest())

    def _ended(self) -> bool:
        return bool(self.line.stopped) or self.work.tools.stop.requested

    def _note(self, result: SiteResult) -> None:
        self.results[result.site] = result
        if not result.failed or result.site in self.work.earlier.forgiven:
            return
        self.failed.append(result.site)
        allowed = self.work.playbook.max_fail_percentage
        self.line = self.line.stopped_by(self.failed, len(self.group), allowed)

    def _leave(self, plans: Sequence[SitePlan]) -> None:
        """Journal sites that nothing was done to, because the line stopped before their turn."""
        if not plans:
            return
        reason = self._why_stopped()
        data = {"state": State.SKIPPED, "detail": reason, "exit_status": 0, "downtime_seconds": 0}
        entries: list[tuple[EventKind, str, Mapping[str, Any]]] = [
            ("site_finished", plan.site.name, data) for plan in plans
        ]
        self.work.tools.record.append_all(self.work.run, entries)
        for plan in plans:
            name = plan.site.name
            self.results[name] = SiteResult(name, State.SKIPPED, ExitStatus.DONE, reason)

    def _why_stopped(self) -> str:
        line, work = self.line, self.work
        if work.tools.stop.requested:
            return "stopped on request before its turn"
        if not line.told:
            data = {"failed": list(line.failed), "reason": line.stopped}
            work.tools.record.append(work.run, "line_stopped", "", data)
            self.line = replace(line, told=True)
        return line.stopped


def _site(work: _Work, line: Line, plan: SitePlan) -> SiteResult:
    context = work.context(plan)
    try:
        return carry_out(context, plan, line)
    except Fenced:
        raise  # another process goes on with the run: nothing may be written here any more
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


def _as_journalled(site: str, state: State, exit_status: int, detail: str) -> SiteResult:
    return SiteResult(site, state, ExitStatus(exit_status), detail)
