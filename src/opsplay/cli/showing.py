"""Show a check or a run as it happens: to a person, or to a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opsplay.cli.given import options_of
from opsplay.cli.screen import (
    ask,
    can_ask,
    document,
    emit,
    is_plain,
    lay_out,
    program_name,
    screen,
)
from opsplay.cli.stopping import stopping
from opsplay.core.errors import ExitStatus

if TYPE_CHECKING:
    from rich.console import Console

    from opsplay.app import CheckResult, Options, RunResult
    from opsplay.engine.plan import Plan


def checked(
    use: Callable[[Options], CheckResult], where: Mapping[str, Any], *, diff: bool, json: bool
) -> ExitStatus:
    """Show what would change, as text or JSON, and return how that ends."""
    from opsplay.engine.plan import to_data

    result = use(options_of(**where))
    if json:
        sites = [to_data(site) for site in result.plan.sites]
        told = {"playbook": result.plan.playbook, "pending": result.plan.pending, "sites": sites}
        ending = {"exit_status": int(result.exit_status), "meaning": result.exit_status.meaning}
        document("plan", {**told, "round_trips": dict(result.plan.round_trips), **ending})
    else:
        _show_plan(result.plan, None, diff=diff)
    return result.exit_status


def _show_plan(plan: Plan, console: Console | None, *, diff: bool) -> None:
    """Show a plan: in full, or with many sites a line for each."""
    from opsplay.engine.plan import to_data
    from opsplay.reports.fleet import MANY, fleet_plan

    if len(plan.sites) > MANY and not diff:
        told = fleet_plan(map(to_data, plan.sites), plan.round_trips)
        if console is None and is_plain():
            emit(told.plain)
        else:
            lay_out(console or screen(), told)
        return
    from opsplay.reports.plan import plan_text

    sites = [to_data(site, differences=diff) for site in plan.sites]
    lay_out(console or screen(), plan_text(sites, plan.round_trips, diff=diff))


def played(
    use: Callable[[Options], RunResult],
    where: Mapping[str, Any],
    *,
    yes: bool = False,
    diff: bool = False,
    json: bool = False,
    console: Console | None = None,
) -> ExitStatus:
    """Carry something out, show it as it happens, sum it up, and return how it ended.

    `console`: where to show it, when it is recorded.
    """
    if json:
        return _played_for_programs(use, where)
    if console is None and is_plain():
        return _played_in_a_pipe(use, where)
    from opsplay.reports.story import tell
    from opsplay.reports.summary import summary

    out = console or screen()
    question = _Question(out, asked=not yes and can_ask(), diff=diff)
    with _shown(out, where, question) as options:
        result = use(options)
    if question.declined:
        lay_out(out, "nothing was changed")
    else:
        lay_out(out, summary(tell(result.events), program_name()))
    return result.exit_status


def _played_in_a_pipe(use: Callable[[Options], RunResult], where: Mapping[str, Any]) -> ExitStatus:
    from opsplay.reports.plain import PlainView
    from opsplay.reports.story import tell
    from opsplay.reports.summary import summary

    view = PlainView(emit)
    with stopping(view.say) as stop:
        result = use(options_of(**where, listener=view.heard, stop=stop))
    emit(summary(tell(result.events), program_name()).plain)
    return result.exit_status


class _Question:
    """Shows the plan and asks whether to go on; remembers a no."""

    def __init__(self, console: Console, *, asked: bool, diff: bool) -> None:
        self.asked = asked
        self.declined = False
        self._console = console
        self._diff = diff

    def put(self, plan: Plan) -> bool:
        _show_plan(plan, self._console, diff=self._diff)
        self.declined = not ask("Go on?")
        return not self.declined


@contextmanager
def _shown(console: Console, where: Mapping[str, Any], question: _Question) -> Iterator[Options]:
    from opsplay.reports.live import LiveView

    view = LiveView(console)

    def confirm(plan: Plan) -> bool:
        with view.paused():
            return question.put(plan)

    with view, stopping(view.say) as stop:
        listening: dict[str, Any] = {
            "listener": view.heard,
            "progress": view.progress,
            "stop": stop,
        }
        if question.asked:
            listening["confirm"] = confirm
        yield options_of(**where, **listening)


def _played_for_programs(
    use: Callable[[Options], RunResult], where: Mapping[str, Any]
) -> ExitStatus:
    from opsplay.reports.json_lines import event_line

    with stopping(lambda text: document("notice", {"text": text})) as stop:
        result = use(options_of(**where, listener=lambda event: emit(event_line(event)), stop=stop))
    status = result.exit_status
    ending = {"exit_status": int(status), "meaning": status.meaning}
    ends = [event.data for event in result.events if event.kind == "run_finished"]
    waiting = ends[-1].get("waiting", []) if ends else []
    told = {"run": result.run, "round_trips": dict(result.round_trips), "waiting": waiting}
    document("summary", {**told, **ending})
    return status
