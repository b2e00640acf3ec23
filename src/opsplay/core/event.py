"""The journal's event: the only truth about a run. Reports read nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias


class State(StrEnum):
    """How a step, stage or site stands; the words are shown as they are."""

    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    WAITING = "waiting"
    ROLLED_BACK = "rolled-back"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


EventKind: TypeAlias = Literal[
    "schedule_seen",  # name, sites, identity: known from now on; run is "schedule"
    "run_started",  # playbook, file, sites, command, user, host, version, texts, arguments; slot
    "planned",  # site; plan: see engine.plan.to_data
    "batched",  # order, batches: [[site, …], …]; a resume keeps them
    "line_stopped",  # failed: [site], reason; the sites behind them are not touched
    "site_started",
    "stage_started",  # stage, environment
    "lock_taking",  # environment, epoch; from here on the host may have our lock
    "lock_refused",  # environment, detail: another run has it
    "lock_taken",  # environment, epoch
    "lock_freed",  # environment
    "bracket_opening",  # bracket (maintenance | restore point), environment, job
    "bracket_opened",  # bracket, environment, seconds
    "bracket_closing",  # bracket, environment, job
    "bracket_closed",  # bracket, environment, seconds (maintenance: how long visitors were out)
    "baseline",  # environment, pages: [{path, status, title, bytes, seconds}]
    "step_started",  # stage, step (index), kind, name; not where there was nothing to ask or to do
    "intent",  # step, change (index), attempt, job, what, before, after, loses, key, action, undo
    "alarm",  # told: what somebody has to look at, although the work goes on
    "retry",  # step, error, attempt, wait_seconds
    "result",  # intent (sequence number), outcome (done|failed|unknown), detail, facts, seconds
    "step_finished",  # stage, step, kind, name, state, detail, changes, seconds
    "question",  # stage, step, intent (sequence number), what, host, since, output: was it done?
    "answered",  # stage, intent, answer (done|redo), user
    "waiting",  # stage, step (-1: the stage), reason (window|approval|turn), until, detail, window
    "approval_asked",  # stage, step, by, note, plan_hash, expires, what: [changes as rehearsed]
    "approved",  # stage, step, plan_hash, by, who (login), note
    "refused",  # stage, step, plan_hash, by, who (login), note
    "drill_measured",  # environment, snapshot, restore, checks, rto, rpo: as in core.certificate
    "drill_verdict",  # environment, snapshot, verdict, reasons, certificate (where it lies)
    "rollback_started",  # reason, environment
    "undo_intent",  # of (sequence number of the intent undone), what, action, job
    "undo_result",  # of, outcome, detail, seconds
    "rollback_finished",  # state, detail
    "stage_finished",  # stage, state, seconds
    "site_finished",  # state, detail, downtime_seconds
    "run_resumed",
    "cancel_requested",  # user, now (whether the act under way is ended at once)
    "run_finished",  # exit_status, state, round_trips
]


@dataclass(frozen=True)
class Event:
    """One line of the journal. `hash` covers everything before it, through `previous`."""

    sequence: int
    run: str
    at: datetime
    kind: EventKind
    site: str
    """Empty for what concerns the whole run."""
    data: Mapping[str, Any]
    previous: str
    hash: str


Listener: TypeAlias = Callable[[Event], None]
"""Called after an event is on disk; must not raise."""

Progress: TypeAlias = Callable[[str, str, float, float], None]
"""(site, what, done, total): live only, never journalled; total 0 when it is not known."""
