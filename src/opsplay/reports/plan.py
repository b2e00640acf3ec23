"""What `check` shows: for each site, stage and step, what would change, before and after."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.text import Text

from opsplay.core.event import State
from opsplay.kit.wording import counted
from opsplay.reports.fleet import trips
from opsplay.reports.words import QUIET, STYLES, SYMBOLS, from_to, last_lines, state_text, widest


def plan_text(
    sites: Iterable[Mapping[str, Any]],
    round_trips: Mapping[str, int],
    *,
    diff: bool = False,
) -> Text:
    """Return the plans of all sites as text.

    Args:
        sites: each site's plan as data, as the journal's `planned` event holds it; with
            `difference` where a change has one to show.
        round_trips: host → round trips that planning cost.
        diff: show differences, and long lists line by line.
    """
    plans = list(sites)
    text = Text()
    several = any(plan.get("batch", 1) > 1 for plan in plans)
    for plan in plans:
        if several:
            text.append(f"batch {plan['batch']}: ", QUIET)
        for line in _site(plan, diff=diff):
            text.append_text(line).append("\n")
        text.append("\n")
    text.append_text(_total(plans)).append("\n")
    text.append(f"nothing was written; round trips: {trips(round_trips)}", QUIET)
    return text


def _site(plan: Mapping[str, Any], *, diff: bool) -> Iterator[Text]:
    risk = f"  {plan['risk']}" if plan.get("risk") else ""
    yield Text.assemble((str(plan["site"]), "bold"), (risk, QUIET))
    if plan.get("error"):
        first, *rest = last_lines(str(plan["error"]))
        yield Text("  ").append_text(state_text(State.FAILED)).append(f"  {first}")
        yield from (Text(f"      {line}", QUIET) for line in rest)
        return
    losses: set[str] = set()
    for stage in plan.get("stages", ()):
        why = f"  not needed: {stage['not_needed']}" if stage.get("not_needed") else ""
        title = Text.assemble((f"  {stage['stage']}", "bold")).append(
            f" (on {stage['environment']})", QUIET
        )
        title.append(why, QUIET)
        wait = stage.get("waits")
        yield title.append(f"  would wait {wait}", STYLES[State.WAITING]) if wait else title
        if not why:
            for step in stage.get("steps", ()):
                yield from _step(step, losses, diff=diff)


def _step(step: Mapping[str, Any], losses: set[str], *, diff: bool) -> Iterator[Text]:
    changes = list(step.get("changes", ()))
    head = Text("    ").append_text(state_text(str(step["state"]))).append(f"  {step['name']}")
    reason = step.get("skipped") or step.get("later") or ""
    if reason:
        head.append(f"  {reason}", QUIET)
    yield head
    wide = widest(str(change["what"]) for change in changes)
    for change in changes:
        yield from _change(change, wide, diff=diff)
        yield from _loss(str(change.get("loses", "")), losses)


def _change(change: Mapping[str, Any], wide: int, *, diff: bool) -> Iterator[Text]:
    what, before, after = (str(change.get(word, "")) for word in ("what", "before", "after"))
    symbol, style = ("·", QUIET) if change.get("observes") else ("▲", STYLES[State.CHANGED])
    plain = from_to("", before, after).strip()
    yield Text(" " * 8).append(symbol, style).append(f" {what:<{wide}}  {plain}".rstrip())
    if diff and change.get("difference"):
        yield from _coloured(str(change["difference"]).splitlines())
    elif diff and _has_lines(before, after):
        old, new = _listed(before), _listed(after)
        yield from _coloured(difflib.unified_diff(old, new, "before", "after", lineterm=""))


def _loss(loses: str, told: set[str]) -> Iterator[Text]:
    # The same loss is told once a site, where it comes up first.
    if loses and loses not in told:
        told.add(loses)
        yield Text(f"{'':10}going back would lose: {loses}", "yellow")


def _has_lines(before: str, after: str) -> bool:
    return "\n" in before.strip() or "\n" in after.strip() or ", " in before + after


def _coloured(lines: Iterable[str]) -> Iterator[Text]:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        yield Text(f"{'':10}{line}", colours.get(line[:1], ""))


def _listed(text: str) -> list[str]:
    """Return a text's lines, or the entries of a list written on one line."""
    lines = text.splitlines()
    return lines if len(lines) > 1 or ", " not in text else text.split(", ")


def _total(plans: list[Mapping[str, Any]]) -> Text:
    changes = sum(
        len([change for change in step.get("changes", ()) if not change.get("observes")])
        or bool(step.get("later"))
        for plan in plans
        for stage in plan.get("stages", ())
        for step in stage.get("steps", ())
        if step.get("state") == State.CHANGED
    )
    errors = sum(1 for plan in plans if plan.get("error"))
    if errors:
        broken = f"{counted(errors, 'site')} could not be planned"
        return Text(f"{SYMBOLS[State.FAILED]} {broken}", STYLES[State.FAILED])
    if not changes:
        return Text(f"{SYMBOLS[State.OK]} nothing to change", STYLES[State.OK])
    pending = f"{counted(changes, 'change')} pending on {counted(len(plans), 'site')}"
    return Text(f"{SYMBOLS[State.CHANGED]} {pending}", STYLES[State.CHANGED])
