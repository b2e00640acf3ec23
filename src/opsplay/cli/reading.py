"""Verbs that only look: logs, logs.verify, doctor, version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context

import opsplay
from opsplay.cli.given import WHERE, journal_chosen, options_of
from opsplay.cli.screen import document, emit, program_name, screen, show
from opsplay.cli.verb import REACHING, READING, verb
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.kit.clock import SystemClock

if TYPE_CHECKING:
    from opsplay.journal import Journal, RunSummary
    from opsplay.reports.logs import Filter

_FOLLOW_PAUSE = 0.5


@verb(
    READING,
    word="run",
    help={
        "run": "RUN to show step by step: its name, the start of it, or `last`.",
        "site": "NAME: only this site.",
        "failed": "Only what failed.",
        "changed": "Only what changed something.",
        "since": "TIME: runs since 2026-11-22, 2026-11-22T05:00, or 3d, 12h, 30m ago.",
        "grep": "TEXT that must occur.",
        "follow": "Go on showing what happens, until Ctrl-C.",
        "state": WHERE["state"],
        "json": WHERE["json"],
    },
)
def logs(  # noqa: PLR0913, PLR0917 - one argument a flag
    _context: Context,
    run: str = "",
    site: str = "",
    failed: bool = False,
    changed: bool = False,
    since: str = "",
    grep: str = "",
    follow: bool = False,
    json: bool = False,
    state: str = ".opsplay",
) -> None:
    """List the runs, or show one run step by step.

    The journal is the only source: every act was written there before it was done. Who edits it is
    found out by `logs.verify`.
    """
    from opsplay.reports.logs import Filter

    wanted, begin = Filter(site, failed, changed, grep), _moment(since, SystemClock().now())
    if not (run or follow) and not _has_journal(state):
        _show_runs((), json=json)
        return
    journal = _journal(state)
    if follow:
        _follow(journal, run, wanted, json=json)
    elif run:
        _one_run(journal, run, wanted, json=json)
    else:
        _runs(journal, wanted, begin, json=json)


def _has_journal(state: str) -> bool:
    return bool(journal_chosen()) or Path(state, "journal.db").is_file()


def _journal(state: str) -> Journal:
    # Who only looks leaves no empty journal behind.
    if not _has_journal(state):
        cause = f"no journal in {state}: nothing was run from here yet"
        raise InvalidInput(cause, next_command="invoke check playbooks/update.yaml")
    from opsplay import app

    return app.journal(options_of(state=state))


def _runs(journal: Journal, wanted: Filter, begin: datetime | None, *, json: bool) -> None:
    from opsplay.reports.logs import since

    started = since(journal.runs(), begin)
    _show_runs([run for run in started if wanted.lets_run(run)], json=json)


def _show_runs(runs: Sequence[RunSummary], *, json: bool) -> None:
    from opsplay.reports.json_lines import runs_data
    from opsplay.reports.logs import runs_table

    if json:
        document("runs", {"runs": runs_data(runs)})
    else:
        screen().print(runs_table(runs, SystemClock().now()))


def _one_run(journal: Journal, name: str, wanted: Filter, *, json: bool) -> None:
    from opsplay.reports.json_lines import event_line
    from opsplay.reports.logs import run_text
    from opsplay.reports.story import tell

    events = journal.events(journal.resolve(name))
    if json:
        for event in events:
            if wanted.lets_event(event):
                emit(event_line(event))
    else:
        show(run_text(tell(events), wanted))


def _follow(journal: Journal, name: str, wanted: Filter, *, json: bool) -> None:
    from opsplay.reports.json_lines import event_line
    from opsplay.reports.lines import Lines
    from opsplay.reports.logs import followed

    run = journal.resolve(name) if name else ""
    lines, console, clock, last = Lines(), screen(), SystemClock(), 0
    if not run and (all_runs := journal.runs()):
        last = journal.events(all_runs[-1].run)[0].sequence - 1
    while True:
        news = journal.events(run, after=last)
        if json:
            for event in filter(wanted.lets_event, news):
                emit(event_line(event))
        for text in () if json else followed(news, lines, wanted):
            console.print(text, soft_wrap=True)
        last = news[-1].sequence if news else last
        clock.sleep(_FOLLOW_PAUSE)


def _moment(text: str, now: datetime) -> datetime | None:
    """Return the moment a `--since` means. Raises InvalidInput."""
    if not text:
        return None
    if span := re.fullmatch(r"(\d+)\s*([dhm])", text):
        unit = {"d": "days", "h": "hours", "m": "minutes"}[span[2]]
        return now - timedelta(**{unit: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "write 2026-11-22, 2026-11-22T05:00, 3d, 12h or 30m"
        raise InvalidInput(f"--since {text!r} is not a time: {hint}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@verb(READING, name="verify", help={"state": WHERE["state"], "json": WHERE["json"]})
def verify(_context: Context, json: bool = False, state: str = ".opsplay") -> ExitStatus:
    """Prove that nobody edited the journal.

    Each event carries a hash of everything before it, and must follow from it.
    """
    from opsplay.reports.logs import verify_text

    journal = _journal(state)
    broken, count = journal.verify(), len(journal.events())
    if json:
        sound = {"sound": broken is None, "events": count}
        document("verify", {**sound, "first_broken": broken.sequence if broken else None})
    else:
        show(verify_text(broken, count))
    return ExitStatus.DONE if broken is None else ExitStatus.FAILED


@verb(REACHING, help={"limit": "PATTERN of sites whose hosts and vaults are looked at.", **WHERE})
def doctor(
    _context: Context,
    limit: str = "",
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Look whether all that is needed is there; change nothing.

    The inventory is read, each host is asked for its tools and for the sites' directories, and
    each vault is listed. What is wrong is shown with what to do about it.
    """
    from opsplay.app.doctor import examine
    from opsplay.reports.doctor import findings_data, findings_text

    findings = examine(options_of(inventory=inventory, state=state, limit=limit))
    if json:
        document("doctor", {"findings": findings_data(findings)})
    else:
        show(findings_text(findings))
    bad = [finding for finding in findings if not finding.good]
    return max((finding.exit_status for finding in bad), default=ExitStatus.DONE)


@verb(READING, help={"json": WHERE["json"]})
def version(_context: Context, json: bool = False) -> None:
    """Print the version."""
    if json:
        document("version", {"version": opsplay.__version__, "program": program_name()})
    else:
        emit(f"opsplay {opsplay.__version__}")
