"""The end of a run, for a person: verdict of each site, before → after, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from opsplay.core.errors import ExitStatus
from opsplay.core.event import State
from opsplay.reports.lines import meaning
from opsplay.reports.story import ActStory, RunStory, SiteStory
from opsplay.reports.words import (
    QUIET,
    brief,
    counted,
    first_line,
    last_lines,
    size,
    span,
    state_text,
    widest,
)

_INDENT = "    "


def summary(story: RunStory, program: str = "invoke") -> Text:
    """Return the closing block of a run; `program` is what the user types before a verb."""
    text = Text("\n")
    for site in story.sites.values():
        for line in _site(site):
            text.append_text(line).append("\n")
    text.append("\n")
    for label, value in _facts(story):
        text.append(f"{label:<12} ", "bold").append(f"{value}\n")
    for number, command in enumerate(next_commands(story, program)):
        text.append("next         " if number == 0 else " " * 13, "bold").append(f"{command}\n")
    text.rstrip()
    return text


def _site(site: SiteStory) -> Iterator[Text]:
    yield state_text(site.state).append("  ").append(site.name, "bold").append(_reason(site))
    yield from _table(site.lasting)
    for facts in site.snapshots:
        yield Text(f"{_INDENT}backup {facts['snapshot']}, {size(float(facts['bytes']))}")
    if site.downtime_seconds:
        yield Text(f"{_INDENT}visitors were kept out for {span(site.downtime_seconds)}")
    for back in site.put_back:
        yield Text(f"{_INDENT}taken back: {back}")
    yield from _failure(site)


def _reason(site: SiteStory) -> str:
    if site.detail:
        return f"  {first_line(site.detail)}"
    return {State.UNKNOWN: "  was not finished", State.OK: "  unchanged"}.get(State(site.state), "")


def _table(acts: tuple[ActStory, ...]) -> Iterator[Text]:
    wide = widest(act.what for act in acts)
    old = widest(brief(act.before) for act in acts)
    for act in acts:
        before = f"{brief(act.before):>{old}} " if old else ""
        yield Text(f"{_INDENT}{act.what:<{wide}}  {before}→ {brief(act.after)}")


def _failure(site: SiteStory) -> Iterator[Text]:
    step = site.failure
    if step is None:
        for line in site.detail.splitlines()[1:]:
            yield Text(f"{_INDENT}{line}", QUIET)
        return
    yield Text(f"{_INDENT}failed at: {step.stage} › {step.name} (on {step.environment})", "red")
    for line in last_lines(step.detail or site.rollback_reason):
        yield Text(f"{_INDENT}{_INDENT}{line}", QUIET)


def _facts(story: RunStory) -> Iterator[tuple[str, str]]:
    yield (
        "run",
        f"{story.run}  {story.playbook}"
        + (f", took {span(story.seconds)}" if story.seconds else ""),
    )
    if story.round_trips:
        counts = ", ".join(f"{host} {count}" for host, count in story.round_trips.items())
        yield "round trips", counts
    if story.exit_status is None:
        yield "exit status", "none: the run was cut short"
    else:
        yield "exit status", f"{story.exit_status}, {meaning(story.exit_status, story.state)}"


def next_commands(story: RunStory, program: str = "invoke") -> tuple[str, ...]:
    """Return the commands that make sense after this run, the most useful first."""
    logs = f"{program} logs {story.run}"
    match story.exit_status:
        case None | ExitStatus.INTERRUPTED | ExitStatus.UNREACHABLE:
            return (f"{program} resume {story.run}", logs)
        case ExitStatus.WAITING:
            return (f"{program} resume {story.run}", logs)
        case ExitStatus.DONE if any(site.lasting for site in story.sites.values()):
            return (logs, f"{program} rollback {story.run}   (takes all of it back)")
        case ExitStatus.DONE:
            return (logs,)
        case _:
            return (f"{logs} --failed", logs)


def headline(story: RunStory) -> str:
    """Return the run in one sentence: how many sites ended how."""
    counts: dict[str, int] = {}
    for site in story.sites.values():
        counts[site.state] = counts.get(site.state, 0) + 1
    parts = [f"{count} {state}" for state, count in sorted(counts.items())]
    return f"{counted(len(story.sites), 'site')}: {', '.join(parts)}"
