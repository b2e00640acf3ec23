"""What `doctor` found, for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from opsplay.core.event import State
from opsplay.core.finding import Finding
from opsplay.kit.wording import counted
from opsplay.reports.words import QUIET, state_text, widest


def findings_text(findings: Iterable[Finding]) -> Text:
    """Return the findings, one a line, with what to do below those that are not good."""
    rows = list(findings)
    wide = widest(row.subject for row in rows)
    text = Text()
    for row in rows:
        text.append_text(state_text(State.OK if row.good else State.FAILED))
        text.append(f"  {row.subject:<{wide}}", "bold").append(f"  {row.told}\n")
        if not row.good and row.fix:
            text.append(f"{'':{wide + 17}}fix: {row.fix}\n", QUIET)
    bad = sum(not row.good for row in rows)
    return text.append(f"{counted(bad, 'thing')} to fix" if bad else "everything is in order")


def findings_data(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the findings as JSON-ready data."""
    return [
        {
            "subject": row.subject,
            "good": row.good,
            "told": row.told,
            "fix": "" if row.good else row.fix,
        }
        for row in findings
    ]
