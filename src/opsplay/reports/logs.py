"""The journal, for a person: the list of runs, and the steps of one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from opsplay.core.event import Event, State
from opsplay.journal import RunSummary
from opsplay.kit.wording import counted, span
from opsplay.reports.approvals import answer_text, items, minute
from opsplay.reports.drills import drilled
from opsplay.reports.ink import Ink
from opsplay.reports.lines import Lines, meaning
from opsplay.reports.story import ActStory, RunStory, SiteStory, StepStory
from opsplay.reports.words import QUIET, ago, from_to, last_lines, moment_text, state_text

_BAD = frozenset({State.FAILED, State.UNREACHABLE, State.ROLLED_BACK, State.UNKNOWN})


@dataclass(frozen=True)
class Filter:
    """Which part of a run is shown; empty fields let everything through."""

    site: str = ""
    failed: bool = False
    changed: bool = False
    grep: str = ""
    """Text that must occur in the step or in what it did, whatever the case."""

    def lets_site(self, name: str) -> bool:
        """Return whether a site is shown."""
        return not self.site or self.site == name

    def lets_run(self, run: RunSummary) -> bool:
        """Return whether a run is listed."""
        if self.site and self.site not in run.sites:
            return False
        wanted = {state for on, states in self._states for state in states if on}
        if wanted and run.state not in wanted and not (self.failed and run.exit_status is None):
            return False
        return self.grep.lower() in f"{run.run} {run.playbook} {run.sites} {run.state}".lower()

    def lets_step(self, step: StepStory, acts: Iterable[ActStory]) -> bool:
        """Return whether a step is shown."""
        wanted = {state for on, states in self._states for state in states if on}
        if wanted and step.state not in wanted:
            return False
        words = [step.stage, step.name, step.kind, step.detail]
        words += [f"{act.what} {act.before} {act.after} {act.detail}" for act in acts]
        return self.grep.lower() in "\n".join(words).lower()

    def lets_event(self, event: Event) -> bool:
        """Return whether an event is shown (`--json`, `--follow`)."""
        if self.site and event.site != self.site:
            return False
        if self.failed or self.changed:
            wanted = {state for on, states in self._states for state in states if on}
            if str(event.data.get("state", event.data.get("outcome", ""))) not in wanted:
                return False
        return self.grep.lower() in str(dict(event.data)).lower()

    @property
    def _states(self) -> tuple[tuple[bool, frozenset[str]], ...]:
        return (self.failed, _BAD), (self.changed, frozenset({State.CHANGED}))


def since(runs: Iterable[RunSummary], moment: datetime | None) -> tuple[RunSummary, ...]:
    """Return the runs that started at `moment` or later; all when it is None."""
    return tuple(run for run in runs if moment is None or run.started >= moment)


def runs_table(runs: Iterable[RunSummary], now: datetime) -> RenderableType:
    """Return the list of runs, newest first; a sentence when there is none."""
    rows = sorted(runs, key=lambda run: run.run, reverse=True)
    if not rows:
        return Text("no runs yet; begin with: invoke check playbooks/update.yaml")
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name in ("run", "when", "took", "playbook", "sites", "ended"):
        table.add_column(name, no_wrap=name in {"run", "when", "took"})
    for run in rows:
        took = span((run.finished - run.started).total_seconds()) if run.finished else ""
        sites = ", ".join(run.sites[:3]) + (f" +{len(run.sites) - 3}" if run.sites[3:] else "")
        table.add_row(run.run, ago(run.started, now), took, run.playbook, sites, _ended(run))
    return table


def _ended(run: RunSummary) -> Text:
    if run.exit_status is None:
        return state_text(State.UNKNOWN, padded=False).append(": under way, or cut short")
    ended = state_text(run.state, padded=False)
    if run.state == State.WAITING and run.waiting:
        return ended.append(f" for {run.waiting[0]['reason']}{_until(run.waiting)}", QUIET)
    if run.exit_status:
        ended.append(f", exit status {run.exit_status}: {meaning(run.exit_status)}", QUIET)
    return ended


def _until(waits: Iterable[Mapping[str, str]]) -> str:
    known = sorted(one["until"] for one in waits if one["until"])
    return f", until {minute(known[0])}" if known else ""


_ALL = Filter()


def run_text(story: RunStory, wanted: Filter = _ALL) -> Text:
    """Return one run, step by step, with what each step did."""
    started = moment_text(story.started) if story.started else "?"
    text = Text.assemble((f"run {story.run}  {story.playbook}\n", "bold"))
    took = f", took {span(story.seconds)}" if story.seconds else ""
    text.append(f"started {started}{took}\n", QUIET)
    for site in story.sites.values():
        if wanted.lets_site(site.name):
            for line in _site(site, wanted):
                text.append_text(line).append("\n")
    text.rstrip()
    return text


def _site(site: SiteStory, wanted: Filter) -> Iterator[Text]:
    yield Text("\n").append_text(state_text(site.state)).append(f"  {site.name}", "bold")
    shown = 0
    for step in site.steps:
        acts = [act for act in site.acts if (act.stage, act.step) == (step.stage, step.index)]
        if wanted.lets_step(step, acts):
            shown += 1
            yield from _step(step, acts)
            yield from _approvals(site, step)
            if step.kind == "restore_drill":
                told = (line for drill in site.drills for line in drilled(drill))
                yield from (Text(f"    {line.plain}", QUIET) for line in told)
    if shown < len(site.steps):
        yield Text(f"    {counted(len(site.steps) - shown, 'step')} not shown", QUIET)


def _step(step: StepStory, acts: Iterable[ActStory]) -> Iterator[Text]:
    title = Text("  ").append_text(state_text(step.state)).append(f"  {step.stage} › {step.name}")
    yield title.append(f"  (on {step.environment}, {span(step.seconds)})", QUIET)
    for act in acts:
        undone = "; taken back" if act.undone else ""
        outcome = act.outcome or "no result"
        yield Text(f"        {from_to(act.what, act.before, act.after)}").append(
            f"  {outcome}{undone}", QUIET
        )
    for line in last_lines(step.detail):
        yield Text(f"        {line}", QUIET)


def _approvals(site: SiteStory, step: StepStory) -> Iterator[Text]:
    place = (step.stage, step.index)
    for event in site.approvals:
        if (event.data["stage"], event.data["step"]) != place:
            continue
        if event.kind == "approval_asked":
            until = minute(event.data["expires"])
            yield Text(f"        {event.data['by']} was asked to agree until {until} to")
            yield from (Text(f"{'':12}{line}") for line in items(event.data["what"]))
        else:
            yield Text(f"        {answer_text(event)}")


def followed(events: Iterable[Event], lines: Lines, wanted: Filter) -> Iterator[Ink]:
    """Return the lines of events as they come, for `--follow`."""
    for event in events:
        for line in lines.of(event):
            if wanted.lets_event(event):
                yield lines.render(line)


def verify_text(broken: Event | None, count: int) -> Text:
    """Return whether the journal is as it was written."""
    if broken is None:
        told = f"{counted(count, 'event')}, each follows from the one before it"
        return state_text(State.OK, padded=False).append(f": {told}")
    return state_text(State.FAILED, padded=False).append(
        f": event {broken.sequence} ({broken.kind}, run {broken.run}, {moment_text(broken.at)}) "
        "was changed, moved, or follows an event that was removed"
    )
