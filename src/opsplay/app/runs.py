"""Runs: started, resumed, rolled back, restored. Each is a playbook carried out on its sites."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import opsplay
from opsplay.app.options import CheckResult, Options, RunResult
from opsplay.app.workshop import Workshop, controller_lock, last_change, load_kinds, undoable
from opsplay.core.errors import ExitStatus, OpsplayError
from opsplay.core.event import State
from opsplay.core.playbook import Inventory, Playbook
from opsplay.core.site import Site
from opsplay.engine.history import history_of
from opsplay.engine.plan import Plan, SitePlan, to_data
from opsplay.engine.planner import plan_sites
from opsplay.engine.runner import exit_status_of, run_plan, state_of_run
from opsplay.engine.site_run import SiteResult
from opsplay.journal import Journal
from opsplay.kit.clock import SystemClock
from opsplay.kit.ids import run_id
from opsplay.language.read import inventory_from_texts, playbook_from_text, read_all, read_inventory
from opsplay.language.together import check_together


def check(playbook: Path, options: Options) -> CheckResult:
    """Return what a run would change; nothing is written on any host, nor in any vault.

    The transports of a check refuse every script that is not a question.
    """
    load_kinds()
    book, inventory, sites = read_all(
        playbook, options.inventory, extra_vars=options.extra_vars, limit=options.limit
    )
    with Workshop.for_checking(options, inventory) as workshop:
        plan = _plan(workshop, book, sites, options.tags)
    return CheckResult(plan, _status_of_check(plan))


def _plan(workshop: Workshop, book: Playbook, sites: Sequence[Site], tags: Sequence[str]) -> Plan:
    return plan_sites(book, sites, workshop.language, workshop.transport, tags, workshop.declare)


def _status_of_check(plan: Plan) -> ExitStatus:
    statuses = [getattr(error, "exit_status", ExitStatus.FAILED) for error in plan.errors]
    if statuses:
        return ExitStatus.FAILED if ExitStatus.FAILED in statuses else statuses[0]
    return ExitStatus.PENDING if plan.pending else ExitStatus.DONE


def run(playbook: Path, options: Options) -> RunResult:
    """Carry out a playbook on its sites."""
    load_kinds()
    book, inventory, sites = read_all(
        playbook, options.inventory, extra_vars=options.extra_vars, limit=options.limit
    )
    return _begin("run", book, inventory, sites, options)


def rollback(name: str, options: Options) -> RunResult:
    """Undo what a run (an id, the start of one, or `last`) did to its sites, newest first."""
    load_kinds()
    with_journal = Journal(options.state / "journal.db", SystemClock())
    undone = _last_standing(with_journal) if name == "last" else with_journal.resolve(name)
    touched = sorted(
        {
            event.site
            for event in with_journal.events(undone)
            if event.kind == "intent"
            and undoable(event)
            and event.data["environment"] == "production"
        }
    )
    with_journal.close()
    if not touched:
        raise OpsplayError(
            f"run {undone} changed nothing that can be undone", next_command=f"invoke logs {undone}"
        )
    text = _ROLLBACK.format(run=undone, sites=", ".join(touched))
    return _synthetic("rollback", text, options)


def restore(
    site: str,
    options: Options,
    *,
    snapshot: str = "last",
    to: str = "production",
    include: Sequence[str] = ("database", "files"),
) -> RunResult:
    """Bring a site back from its vault, to production or to another environment."""
    load_kinds()
    text = _RESTORE.format(site=site, snapshot=snapshot, to=to, include=", ".join(include))
    return _synthetic("restore", text, options)


def _last_standing(journal: Journal) -> str:
    """Return the last run whose changes stand on any site. Raises OpsplayError."""
    places = {
        (event.site, str(event.data["environment"]))
        for event in journal.events()
        if event.kind == "intent" and undoable(event)
    }
    standing = [run for place in sorted(places) if (run := _standing_at(journal, *place))]
    if not standing:
        raise OpsplayError("no run changed anything that still stands", next_command="invoke logs")
    return max(standing)


def _standing_at(journal: Journal, site: str, environment: str) -> str:
    try:
        return last_change(journal, site, environment, "")
    except OpsplayError:
        return ""  # nothing stands there


_ROLLBACK = """\
name: Roll back {run}
sites: "{sites}"
stages:
  - name: Protect
    steps:
      - backup: {{include: [database, files], label: before-rollback}}
  - name: Roll back
    maintenance: true
    steps:
      - rollback: {{run: "{run}"}}
      - smoke_test: {{}}
"""

_RESTORE = """\
name: Restore {site}
sites: "{site}"
stages:
  - name: Restore
    environment: {to}
    steps:
      - restore: {{snapshot: "{snapshot}", include: [{include}]}}
"""


def _synthetic(command: str, text: str, options: Options) -> RunResult:
    book = playbook_from_text(text, f"({command})")
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    sites = check_together(book, inventory, options.limit)
    return _begin(command, book, inventory, sites, options)


def resume(name: str, options: Options) -> RunResult:
    """Go on with a run that was cut short, from what the journal says of it."""
    load_kinds()
    with_journal = Journal(options.state / "journal.db", SystemClock())
    resumed = with_journal.resolve(name)
    start = next(e for e in with_journal.events(resumed) if e.kind == "run_started")
    with_journal.close()
    data = start.data
    extra = data["extra_vars"]
    book = playbook_from_text(data["text"], data["file"], extra_vars=extra)
    inventory = inventory_from_texts(
        data["texts"], extra_vars=extra, repository=options.inventory.parent
    )
    sites = [inventory.sites[site] for site in data["sites"]]
    with Workshop(options, inventory) as workshop, controller_lock(options.state, sites, resumed):
        journal = _opened(workshop, options)
        journal.append(resumed, "run_resumed", "", {"user": _who()})
        return _go(workshop, journal, resumed, book, sites, tuple(data["tags"]))


def _begin(
    command: str, book: Playbook, inventory: Inventory, sites: Sequence[Site], options: Options
) -> RunResult:
    name = run_id(SystemClock().now())
    with Workshop(options, inventory) as workshop, controller_lock(options.state, sites, name):
        journal = _opened(workshop, options)
        journal.append(name, "run_started", "", _start(command, book, inventory, sites, options))
        return _go(workshop, journal, name, book, sites, options.tags)


def _opened(workshop: Workshop, options: Options) -> Journal:
    journal = workshop.journal()
    journal.subscribe(options.listener)
    return journal


def _start(
    command: str, book: Playbook, inventory: Inventory, sites: Sequence[Site], options: Options
) -> Mapping[str, Any]:
    return {
        "command": command,
        "playbook": book.name,
        "file": book.file,
        "text": book.text,
        "texts": dict(inventory.texts),
        "sites": [site.name for site in sites],
        "tags": list(options.tags),
        "extra_vars": dict(options.extra_vars),
        "user": _who(),
        "version": opsplay.__version__,
    }


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _go(
    workshop: Workshop,
    journal: Journal,
    name: str,
    book: Playbook,
    sites: Sequence[Site],
    tags: Sequence[str],
) -> RunResult:
    tools = workshop.tools(journal, name)
    past = journal.events(name)
    finished = {site.name for site in sites if history_of(past, site.name).state is not None}
    plan = _plan(workshop, book, [site for site in sites if site.name not in finished], tags)
    for entry in plan.sites:
        journal.append(name, "planned", entry.site.name, to_data(entry))
    if plan.pending and not workshop.options.confirm(plan):
        return _end(workshop, journal, name, (), ExitStatus.INTERRUPTED)
    done = tuple(SitePlan(site) for site in sites if site.name in finished)
    everything = Plan(plan.playbook, (*done, *plan.sites), plan.round_trips)
    results = run_plan(tools, name, book, everything)
    return _end(workshop, journal, name, results, exit_status_of(results))


def _end(
    workshop: Workshop,
    journal: Journal,
    name: str,
    results: Sequence[SiteResult],
    status: ExitStatus,
) -> RunResult:
    if workshop.options.stop.requested:
        status = ExitStatus.INTERRUPTED
    trips = workshop.round_trips()
    state = state_of_run(status, results) if results else State.SKIPPED
    data = {"exit_status": int(status), "state": state, "round_trips": trips}
    journal.append(name, "run_finished", "", data)
    events = journal.events(name)
    journal.close()
    return RunResult(name, status, events, trips)
