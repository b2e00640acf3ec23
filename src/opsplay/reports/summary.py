"""The end of a run, for a person: verdict of each site, before → after, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from opsplay.core.errors import ExitStatus
from opsplay.core.event import State
from opsplay.kit.wording import counted, size, span
from opsplay.reports.approvals import minute
from opsplay.reports.drills import drilled
from opsplay.reports.fleet import MANY, names, states_line, trips, untouched
from opsplay.reports.ink import Ink
from opsplay.reports.lines import meaning
from opsplay.reports.story import ActStory, RunStory, SiteStory
from opsplay.reports.words import QUIET, brief, first_line, last_lines, state_ink, widest

_INDENT = "    "
_MOST = 50


def summary(story: RunStory, program: str = "invoke") -> Ink:
    """Return the closing block of a run; `program` is what the user types before a verb."""
    text = Ink("\n")
    many = len(story.sites) > MANY
    for site in _worth_telling(story) if many else story.sites.values():
        for line in _site(site):
            text.append(line).append("\n")
    text.append("\n")
    if many:
        text.append("sites        ", "bold").append(states_line(story)).append("\n")
    for label, value in _facts(story):
        text.append(f"{label:<12} ", "bold").append(f"{value}\n")
    for number, command in enumerate(next_commands(story, program)):
        text.append("next         " if number == 0 else " " * 13, "bold").append(f"{command}\n")
    return text.rstrip()


def _worth_telling(story: RunStory) -> Iterator[SiteStory]:
    """Yield the first sites that ended badly, or look damaged; the others are only counted."""
    calm = {State.OK, State.CHANGED, State.SKIPPED, State.WAITING}
    bad = (
        site
        for site in story.sites.values()
        if site.state not in calm
        or site.alarms
        or any(facts.get("suspect") for facts in site.snapshots)
    )
    return islice(bad, _MOST)


def _site(site: SiteStory) -> Iterator[Ink]:
    yield state_ink(site.state).append("  ").append(site.name, "bold").append(_reason(site))
    yield from _table(site.lasting)
    for facts in site.snapshots:
        yield Ink(f"{_INDENT}backup {facts['snapshot']}, {size(float(facts['bytes']))}")
        for reason in facts.get("suspect", ()):
            yield Ink(f"{_INDENT}WARNING: the site looks damaged: {reason}", "bold red")
    for told in site.alarms:
        yield Ink(f"{_INDENT}WARNING: {told}", "bold red")
    if site.downtime_seconds:
        yield Ink(f"{_INDENT}visitors were kept out for {span(site.downtime_seconds)}")
    for drill in site.drills:
        yield from drilled(drill)
    for back in site.put_back:
        yield Ink(f"{_INDENT}taken back: {back}")
    yield from _failure(site)


def _reason(site: SiteStory) -> str:
    if site.waiting:
        return f"  {site.waiting['detail']}"
    if site.detail:
        return f"  {first_line(site.detail)}"
    calm = "" if site.drills else "  unchanged"
    return {State.UNKNOWN: "  was not finished", State.OK: calm}.get(State(site.state), "")


def _table(acts: tuple[ActStory, ...]) -> Iterator[Ink]:
    wide = widest(act.what for act in acts)
    old = widest(brief(act.before) for act in acts)
    for act in acts:
        before = f"{brief(act.before):>{old}} " if old else ""
        yield Ink(f"{_INDENT}{act.what:<{wide}}  {before}→ {brief(act.after)}")


def _failure(site: SiteStory) -> Iterator[Ink]:
    step = site.failure
    if site.waiting:
        return  # its command is among the next ones
    if step is None:
        for line in site.detail.splitlines()[1:]:
            yield Ink(f"{_INDENT}{line}", QUIET)
        return
    yield Ink(f"{_INDENT}failed at: {step.stage} › {step.name} (on {step.environment})", "red")
    for line in last_lines(step.detail or site.rollback_reason):
        yield Ink(f"{_INDENT}{_INDENT}{line}", QUIET)


def _facts(story: RunStory) -> Iterator[tuple[str, str]]:
    yield (
        "run",
        f"{story.run}  {story.playbook}"
        + (f", took {span(story.seconds)}" if story.seconds else ""),
    )
    if story.round_trips:
        yield "round trips", trips(story.round_trips)
    if left := untouched(story):
        yield "line stopped", f"by {names(story.stopped)}; {left}"
    if story.exit_status is None:
        yield "exit status", "none: the run was cut short"
    else:
        drills = any(site.drills for site in story.sites.values())
        told = meaning(story.exit_status, "" if drills else story.state)
        yield "exit status", f"{story.exit_status}, {told}"


def next_commands(story: RunStory, program: str = "invoke") -> tuple[str, ...]:
    """Return the commands that make sense after this run, the most useful first."""
    logs = f"{program} logs {story.run}"
    match story.exit_status:
        case None | ExitStatus.INTERRUPTED | ExitStatus.UNREACHABLE:
            return (f"{program} resume {story.run}", logs)
        case ExitStatus.WAITING:
            return (*_until_it_goes_on(story, program), logs)
        case ExitStatus.DONE if any(site.lasting for site in story.sites.values()):
            return (logs, f"{program} rollback {story.run}   (takes all of it back)")
        case ExitStatus.DONE:
            return (logs,)
        case _:
            on = (*_past_the_stop(story, program), *_until_it_goes_on(story, program))
            return (f"{logs} --failed", *on, logs)


def _past_the_stop(story: RunStory, program: str) -> Iterator[str]:
    if untouched(story):
        limit = ",".join(story.stopped)
        yield f"{program} run {story.file} --limit {limit}   (once they are mended)"
        yield f"{program} resume {story.run}   (then begins with the sites behind them)"


def _until_it_goes_on(story: RunStory, program: str) -> Iterator[str]:
    waits = [site.waiting for site in story.sites.values() if site.waiting]
    if any(one["reason"] == "approval" for one in waits):
        yield f"{program} approve {story.run}   (shows what would be published first)"
        yield f"{program} resume {story.run}   (goes on once it is answered)"
        return
    if not waits:
        return
    opens = sorted(str(one["until"]) for one in waits if one["until"])
    hint = f"   (from {minute(opens[0])} on, or at once with --now)" if opens else ""
    yield f"{program} resume {story.run}{hint}"


def headline(story: RunStory) -> str:
    """Return the run in one sentence: how many sites ended how."""
    counts: dict[str, int] = {}
    for site in story.sites.values():
        counts[site.state] = counts.get(site.state, 0) + 1
    parts = [f"{count} {state}" for state, count in sorted(counts.items())]
    return f"{counted(len(story.sites), 'site')}: {', '.join(parts)}"
