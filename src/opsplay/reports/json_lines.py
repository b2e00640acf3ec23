"""What programs read: one JSON document for a result, one JSON line for each event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opsplay.core.errors import InvalidInput, OpsplayError
from opsplay.core.event import Event
from opsplay.journal import RunSummary


def message(message_type: str, data: Mapping[str, Any]) -> str:
    """Return one line of JSON; `message_type` says what it is and stands first."""
    return json.dumps({"message_type": message_type, **data}, ensure_ascii=False)


def event_line(event: Event) -> str:
    """Return one event of the journal as a line of JSON."""
    return message(
        "event",
        {
            "sequence": event.sequence,
            "run": event.run,
            "at": event.at.isoformat(),
            "kind": event.kind,
            "site": event.site,
            "data": dict(event.data),
            "hash": event.hash,
        },
    )


def error_line(error: OpsplayError) -> str:
    """Return an error as a line of JSON: what happened, the state, the next command."""
    problems = error.problems if isinstance(error, InvalidInput) else ()
    return message(
        "exit_error",
        {
            "code": int(error.exit_status),
            "meaning": error.exit_status.meaning,
            "error": error.what,
            "site": error.site,
            "state": error.state,
            "try": error.next_command,
            "problems": [
                {
                    "file": one.file,
                    "line": one.line,
                    "column": one.column,
                    "cause": one.cause,
                    "suggestion": one.suggestion,
                }
                for one in problems
            ],
        },
    )


def runs_data(runs: Iterable[RunSummary]) -> list[dict[str, Any]]:
    """Return the list of runs as JSON-ready data."""
    return [
        {
            "run": one.run,
            "started": one.started.isoformat(),
            "finished": one.finished.isoformat() if one.finished else None,
            "playbook": one.playbook,
            "sites": list(one.sites),
            "state": one.state,
            "exit_status": one.exit_status,
            "waiting": [dict(site) for site in one.waiting],
        }
        for one in runs
    ]
