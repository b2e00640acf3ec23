"""What somebody is asked to agree to, and what they answered: for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from opsplay.core.event import Event, State
from opsplay.kit.wording import counted
from opsplay.reports.ink import Ink
from opsplay.reports.words import QUIET, brief, state_ink, widest

_INDENT = "    "


def asked_text(run: str, questions: Iterable[Mapping[str, Any]]) -> Ink:
    """Return what a run asks, site by site.

    `questions`: `site`, `by`, `note`, `expires` (ISO), `plan_hash`, `what`, `answer` as
    `opsplay.app.approving.question` gives them.
    """
    text = Ink(f"run {run} asks\n", "bold")
    for one in questions:
        for line in _question(one):
            text.append(line).append("\n")
    return text.rstrip()


def _question(one: Mapping[str, Any]) -> Iterator[Ink]:
    until = minute(str(one["expires"]))
    changes = counted(len(one["what"]), "change")
    head = state_ink(State.WAITING).append(f"  {one['site']}", "bold")
    yield head.append(f"  {one['by']} is asked to agree to {changes} until {until}")
    if one.get("note"):
        yield Ink(f"{_INDENT}{one['note']}")
    yield from (Ink(_INDENT + line) for line in items(one["what"]))
    if one.get("answer"):
        yield Ink(f"{_INDENT}so far: {one['answer']}", "yellow")
    yield Ink(f"{_INDENT}plan {str(one['plan_hash'])[:16]}", QUIET)


def items(what: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each change that is asked for, with its package's fingerprint."""
    rows = list(what)
    wide = widest(str(row["what"]) for row in rows)
    old = widest(brief(str(row.get("before", ""))) for row in rows)
    for row in rows:
        before = f"{brief(str(row.get('before', ''))):>{old}} " if old else ""
        _, _, sha256 = str(row.get("package", "")).partition("#sha256=")
        package = f"  (package sha256 {sha256[:16]}…)" if sha256 else ""
        yield f"{row['what']:<{wide}}  {before}→ {brief(str(row['after']))}{package}"


def answered_text(told: Mapping[str, Any], program: str = "invoke") -> Ink:
    """Return what was answered just now, and the command that goes on.

    `told`: `run`, `approved`, `by`, `who`, `sites`, `before` (sites that had this answer already).
    """
    word = "approved" if told["approved"] else "refused"
    text = Ink()
    if told["sites"]:
        text.append(f"{word} for {', '.join(told['sites'])} by {told['by']}", "bold")
        text.append(f", written down by {told['who']}\n")
    if told["before"]:
        text.append(f"was {word} before: {', '.join(told['before'])}\n", QUIET)
    ends = "goes on" if told["approved"] else "ends without publishing anything"
    text.append("next         ", "bold").append(f"{program} resume {told['run']}")
    return text.append(f"   (or schedule.tick does it): the run {ends}", QUIET)


def answer_text(event: Event) -> str:
    """Return one answer: `approved by client (ada@office), 2026-11-24 09:12 UTC: note`."""
    data = event.data
    note = f": {data['note']}" if data.get("note") else ""
    when = minute(event.at.isoformat())
    return f"{event.kind} by {data.get('by')} ({data.get('who')}), {when}{note}"


def minute(moment: str) -> str:
    """Return an ISO time to the minute.

    >>> minute("2026-11-28T12:00:00+00:00")
    '2026-11-28 12:00 UTC'
    """
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M UTC}"
