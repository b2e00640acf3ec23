"""One thing that was looked at, and whether it is in order."""

from __future__ import annotations

from dataclasses import dataclass

from opsplay.core.errors import ExitStatus


@dataclass(frozen=True)
class Finding:
    """What `doctor` says of one subject; `fix` is what to do when it is not good."""

    subject: str
    good: bool
    told: str
    fix: str = ""
    exit_status: ExitStatus = ExitStatus.FAILED
    """How the command ends because of it, when it is not good."""
