"""Runs: started, resumed, rolled back, restored. Each is a playbook carried out on its sites."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import opsplay
from opsplay.app.answers import Answer, check_answers, write_answers
from opsplay.app.arranging import events_of, for_run, journal_plan, left_of
from opsplay.app.cancelling import cancel as cancel_run
from opsplay.app.cancelling import insist_on_open
from opsplay.app.forecasting import with_forecasts
from opsplay.app.going_on import earlier_of
from opsplay.app.holding import held
from opsplay.app.options import CheckResult, Options, RunResult
from opsplay.app.workshop import Workshop, load_kinds
from opsplay.core.errors import ExitStatus
from opsplay.core.event import State
from opsplay.core.playbook import Inventory, Playbook
from opsplay.core.site import Site
from opsplay.engine.cancel import over_with, watched
from opsplay.engine.fleet import NOTHING, Earlier, arranged
from opsplay.engine.history import UNFINISHED
from opsplay.engine.line import SiteResult
from opsplay.engine.plan import Plan
from opsplay.engine.planner import plan_sites
from opsplay.engine.window import with_waits
from opsplay.journal import Journal, open_journal
from opsplay.kit.ids import run_id
from opsplay.language.read import inventory_from_texts, playbook_from_text, read_all


def check(playbook: Path, options: Options) -> CheckResult:
    """Return what a run would change; nothing is written on any host, nor in any vault.

    The transports of a check refuse every script that is not a question.
    """
    load_kinds()
    book, inventory, sites = read_all(
        playbook, options.inventory, extra_vars=options.extra_vars, limit=options.limit
    )
    with Workshop.for_checking(options, inventory) as workshop:
        plan = arranged(_plan(workshop, book, sites, options.tags), book)
    return CheckResult(plan, _status_of_check(plan))


def _plan(
    workshop: Workshop,
    book: Playbook,
    sites: Sequence[Site],
    tags: Sequence[str],
    meanwhile: Callable[[], object] = tuple,
) -> Plan:
    lines, declare = workshop.transport, workshop.declare
    plan = plan_sites(book, sites, workshop.language, lines, tags, declare, meanwhile)
    plan = with_forecasts(plan, workshop)
    return plan if workshop.options.any_hour else with_waits(plan, workshop.clock.now())


def _load_runner() -> None:
    # What carries out is imported while the hosts answer: there is nothing else to do then.
    import opsplay.engine.runner  # noqa: F401


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
    return begin("run", book, inventory, sites, options)


def resume(
    name: str,
    options: Options,
    *,
    past_failures: bool = False,
    answers: Mapping[str, Answer] = MappingProxyType({}),
) -> RunResult:
    """Go on with a run that was cut short, from what the journal says of it.

    `past_failures`: begin with the sites behind a stopped line, although nobody mended those that
    stopped it. `answers`: site → whether the act that the run asks about was done.
    """
    load_kinds()
    with closing(open_journal(options.journal_at, options.clock)) as record:
        resumed = record.resolve(name)
        data = record.events(resumed, kinds=("run_started",))[0].data
        insist_on_open(record, resumed)
        check_answers(record, resumed, answers)
    extra = data["extra_vars"]
    book = playbook_from_text(data["text"], data["file"], extra_vars=extra)
    inventory = inventory_from_texts(
        data["texts"], extra_vars=extra, repository=options.inventory.parent
    )
    sites = [inventory.sites[site] for site in data["sites"]]
    hold = held(options, sites, resumed, submitted=bool(data.get("submitted")))
    with Workshop(options, inventory) as workshop, hold as claim:
        journal = _opened(workshop, options)
        told = {"user": who(), "past_failures": past_failures, "any_hour": options.any_hour}
        begun = journal.append_all(resumed, [("run_resumed", "", told)], claim=claim)
        workshop.epoch = begun[0].sequence
        write_answers(journal, resumed, answers, who())
        earlier = earlier_of(journal, resumed, past_failures=past_failures)
        return _go(workshop, journal, resumed, book, sites, tuple(data["tags"]), earlier)


def cancel(name: str, options: Options, *, now: bool = False) -> RunResult:
    """Cancel a run, wherever it is carried out, and return how it ended. Raises RunOver."""
    return cancel_run(name, options, resume, now=now)


def begin(
    command: str, book: Playbook, inventory: Inventory, sites: Sequence[Site], options: Options
) -> RunResult:
    """Carry out a playbook on these sites; `command`: what it is done for, as the journal says it."""
    name = run_id(options.clock.now())
    with Workshop(options, inventory) as workshop, held(options, sites, name) as claim:
        journal = _opened(workshop, options)
        start = start_data(command, book, inventory, sites, options)
        begun = journal.append_all(name, [("run_started", "", start)], claim=claim)
        workshop.epoch = begun[0].sequence
        if options.slot and (first := _rival(journal, name)):
            return _yield_to(first, journal, name)
        return _go(workshop, journal, name, book, sites, options.tags)


def _rival(journal: Journal, name: str) -> str:
    from opsplay.engine.schedule_past import rival

    return rival(journal.events(kinds=("run_started", "run_finished")), name)


def _yield_to(first: str, journal: Journal, name: str) -> RunResult:
    """End a run whose slot another controller began in the same moment, before it did anything."""
    data = {"exit_status": 0, "state": State.SKIPPED, "round_trips": {}, "yielded_to": first}
    journal.append(name, "run_finished", "", data)
    events = journal.events(name)
    journal.close()
    return RunResult(name, ExitStatus.DONE, events)


def _opened(workshop: Workshop, options: Options) -> Journal:
    journal = workshop.journal()
    journal.subscribe(options.listener)
    return journal


def start_data(
    command: str, book: Playbook, inventory: Inventory, sites: Sequence[Site], options: Options
) -> Mapping[str, Any]:
    """Return what `run_started` says: all that a resume needs to go on."""
    return {
        "command": command,
        "playbook": book.name,
        "file": book.file,
        "text": book.text,
        "texts": dict(inventory.texts),
        "sites": [site.name for site in sites],
        "tags": list(options.tags),
        "extra_vars": dict(options.extra_vars),
        "user": who(),
        "version": opsplay.__version__,
        "any_hour": options.any_hour,
        **({"slot": options.slot} if options.slot else {}),
    }


def who() -> str:
    """Return login and machine of whoever runs this."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _go(
    workshop: Workshop,
    journal: Journal,
    name: str,
    book: Playbook,
    sites: Sequence[Site],
    tags: Sequence[str],
    earlier: Earlier = NOTHING,
) -> RunResult:
    with watched(journal, name, workshop.options.stop, workshop.epoch):
        return _watched(workshop, journal, name, book, sites, tags, earlier)


def _watched(
    workshop: Workshop,
    journal: Journal,
    name: str,
    book: Playbook,
    sites: Sequence[Site],
    tags: Sequence[str],
    earlier: Earlier,
) -> RunResult:
    tools = workshop.tools(journal, name)
    left = [site for site in sites if not earlier.finished(site.name)]
    plan = _plan(workshop, book, left, tags, _load_runner)
    everything = for_run(plan, sites, book, earlier)
    plan = left_of(everything, earlier)
    for host in plan.next_hosts:
        workshop.expect(host)
    journal_plan(journal, name, book, everything, earlier)
    cancelled = bool(workshop.options.stop.cancelled_by)
    if plan.pending and not cancelled and not workshop.options.confirm(plan):
        return _end(workshop, journal, name, (), ExitStatus.INTERRUPTED)
    from opsplay.engine.runner import exit_status_of, run_plan

    results = run_plan(tools, name, book, everything, earlier)
    return _end(workshop, journal, name, results, exit_status_of(results))


def _end(
    workshop: Workshop,
    journal: Journal,
    name: str,
    results: Sequence[SiteResult],
    status: ExitStatus,
) -> RunResult:
    stop = workshop.options.stop
    if stop.requested:
        status = ExitStatus.INTERRUPTED
    trips = workshop.round_trips()
    if stop.handing_over and (not results or any(one.state in UNFINISHED for one in results)):
        # Without an end in the journal, the next worker goes on with it.
        return RunResult(name, status, journal.events(name), trips)
    from opsplay.engine.runner import state_of_run

    state = state_of_run(status, results) if results else State.SKIPPED
    if workshop.options.stop.cancelled_by and over_with(results):
        state = State.CANCELLED
    data = {"exit_status": int(status), "state": state, "round_trips": trips}
    if any(one.waits for one in results):
        from opsplay.engine.waits import KINDS, waiting_data

        data["waiting"] = waiting_data(journal.events(name, kinds=KINDS))
    journal.append(name, "run_finished", "", data)
    events = events_of(journal, workshop.journal, name, len(results))
    journal.close()
    return RunResult(name, status, events, trips)
