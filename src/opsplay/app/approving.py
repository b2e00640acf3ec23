"""Runs that wait: what they wait for, and the answer of whoever was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from opsplay.app.looking import journal
from opsplay.app.options import Options
from opsplay.app.runs import who
from opsplay.core.errors import OpsplayError
from opsplay.core.event import EventKind
from opsplay.engine.waits import KINDS, Wait, WaitingRun, waiting_run, waits_of
from opsplay.journal import Journal


@dataclass(frozen=True)
class Answers:
    """What was answered for a run, site by site."""

    run: str
    approved: bool
    by: str
    who: str
    """Login and machine of who answered."""
    given: tuple[Wait, ...]
    """What was asked, of each site that was answered for now."""
    before: tuple[Wait, ...] = ()
    """What had the same answer already."""


def waiting_runs(record: Journal, now: datetime) -> tuple[WaitingRun, ...]:
    """Return the runs that wait, oldest first, each with whether it could go on now."""
    names = sorted({event.run for event in record.events(kinds=("waiting",))})
    found = (waiting_run(name, record.events(name, kinds=KINDS), now) for name in names)
    return tuple(one for one in found if one is not None)


def open_approvals(name: str, options: Options, site: str = "") -> tuple[str, tuple[Wait, ...]]:
    """Return a run's full name and what it asks people for, site by site.

    Raises OpsplayError when it asks for nothing.
    """
    record = _existing(options)
    try:
        run = record.resolve(name)
        asked = [one for one in waits_of(record.events(run, kinds=KINDS)) if one.asking is not None]
    finally:
        record.close()
    wanted = tuple(one for one in asked if site in {"", one.site})
    if not wanted:
        where = f" for {site}" if site else ""
        others = f" (asked for: {', '.join(one.site for one in asked)})" if asked else ""
        raise OpsplayError(
            f"run {run} asks for no approval{where}{others}",
            state="nothing was written",
            next_command=f"invoke logs {run}",
        )
    return run, wanted


def _existing(options: Options) -> Journal:
    # Who only asks leaves no empty journal behind.
    where = options.journal_at
    if isinstance(where, Path) and not where.is_file():
        raise OpsplayError(f"no journal in {where.parent}: nothing was run from here yet")
    return journal(options)


def answer(
    name: str,
    options: Options,
    *,
    site: str = "",
    refuse: bool = False,
    by: str = "",
    note: str = "",
) -> Answers:
    """Write down that somebody agrees (or refuses) to what a run asks for; it goes on by `resume`.

    `by`: who agreed, when it is not whom the playbook asks. Raises OpsplayError when nothing is
    asked for, or when the time to answer is over.
    """
    run, asked = open_approvals(name, options, site)
    record, now = journal(options), options.clock.now()
    try:
        in_time = [one for one in asked if one.asking and now < one.asking.expires]
        if not in_time:
            raise _too_late(run, asked[0])
        kind: EventKind = "refused" if refuse else "approved"
        new = tuple(one for one in in_time if not _says(one, kind))
        for one in new:
            record.append(run, kind, one.site, _row(one, by, note))
    finally:
        record.close()
    before = tuple(one for one in in_time if one not in new)
    return Answers(run, not refuse, by or _asked_for(asked[0]), who(), new, before)


def question(wait: Wait) -> dict[str, Any]:
    """Return what somebody is asked, as JSON-ready data."""
    asking = wait.asking
    if asking is None:
        return {}
    data, said = asking.asked.data, asking.answer
    return {
        "site": wait.site,
        "stage": wait.stage,
        "by": data["by"],
        "note": data["note"],
        "asked": asking.asked.at.isoformat(),
        "expires": data["expires"],
        "plan_hash": data["plan_hash"],
        "what": data["what"],
        "answer": f"{said.kind} by {said.data['by']} ({said.data['who']})" if said else "",
    }


def _says(wait: Wait, kind: str) -> bool:
    asking = wait.asking
    return asking is not None and asking.answer is not None and asking.answer.kind == kind


def _asked_for(wait: Wait) -> str:
    return str(wait.asking.asked.data["by"]) if wait.asking else ""


def _row(wait: Wait, by: str, note: str) -> dict[str, object]:
    asked = wait.asking.asked.data if wait.asking else {}
    return {
        "stage": wait.stage,
        "step": wait.step,
        "plan_hash": asked["plan_hash"],
        "by": by or asked["by"],
        "who": who(),
        "note": note,
    }


def _too_late(run: str, one: Wait) -> OpsplayError:
    until = f"{one.until:%Y-%m-%d %H:%M} UTC" if one.until else "the end of the time given"
    return OpsplayError(
        f"the time to answer was over on {until}",
        site=one.site,
        state="nothing was published, and this run will not publish anything",
        next_command=f"invoke resume {run}, which ends it; then run the playbook again",
    )
