"""What can go wrong, by the reaction it asks for, and the exit statuses a shell sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Literal


class ExitStatus(IntEnum):
    """How a command ended; documented in `opsplay --help` and in docs/reference."""

    DONE = 0
    FAILED = 1
    INVALID = 2
    ROLLED_BACK = 3
    PENDING = 4
    WAITING = 5
    LOCKED = 6
    DRILL_FAILED = 7
    UNREACHABLE = 8
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """Return the status in words."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitStatus.DONE: "done, or nothing to do",
    ExitStatus.FAILED: "failed",
    ExitStatus.INVALID: "invalid playbook, inventory or arguments",
    ExitStatus.ROLLED_BACK: "failed and rolled back",
    ExitStatus.PENDING: "changes pending (check)",
    ExitStatus.WAITING: "waiting for an approval or a window",
    ExitStatus.LOCKED: "locked by another run",
    ExitStatus.DRILL_FAILED: "restore drill failed",
    ExitStatus.UNREACHABLE: "host or storage unreachable",
    ExitStatus.INTERRUPTED: "interrupted",
}


class OpsplayError(Exception):
    """What happened, to which site, the state things are in now, and the next command."""

    exit_status = ExitStatus.FAILED

    def __init__(
        self, what: str, *, site: str = "", state: str = "", next_command: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.site = site
        self.state = state
        self.next_command = next_command

    def __str__(self) -> str:
        parts = [f"{self.site}: {self.what}" if self.site else self.what]
        if self.state:
            parts.append(f"state: {self.state}")
        if self.next_command:
            parts.append(f"try: {self.next_command}")
        return "\n".join(parts)


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    cause: str
    suggestion: str = ""

    def __str__(self) -> str:
        hint = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.cause}{hint}"


class InvalidInput(OpsplayError):
    """A playbook, an inventory or an argument is wrong; nothing was contacted."""

    exit_status = ExitStatus.INVALID

    def __init__(self, problems: Iterable[Problem] | str, *, next_command: str = "") -> None:
        self.problems = () if isinstance(problems, str) else tuple(sorted(problems))
        what = problems if isinstance(problems, str) else "\n".join(map(str, self.problems))
        super().__init__(what, next_command=next_command)


class Unreachable(OpsplayError):
    """The host or the storage did not answer; nothing was done by this attempt."""

    exit_status = ExitStatus.UNREACHABLE


class HostKeyRefused(Unreachable):
    """The host's key is unknown or has changed; never retried."""


class LoginRefused(Unreachable):
    """The host accepts none of our keys for this user; never retried."""


class StorageUnreachable(Unreachable):
    """The storage did not answer. The host still does, so that a stage can be ended in order."""


class LineCut(OpsplayError):
    """The line broke while something was under way: what the host did is not known yet."""

    exit_status = ExitStatus.UNREACHABLE


class Locked(OpsplayError):
    """Another run holds the site."""

    exit_status = ExitStatus.LOCKED


class Fenced(OpsplayError):
    """Another process carries this run out by now: this one may neither write nor begin anything."""

    exit_status = ExitStatus.LOCKED


class Waiting(OpsplayError):
    """Nothing may be done before somebody agrees or a window opens; nothing is held meanwhile."""

    exit_status = ExitStatus.WAITING

    def __init__(
        self,
        what: str,
        *,
        reason: Literal["window", "approval", "turn"],
        until: datetime | None = None,
        state: str = "nothing is held meanwhile: no lock, no closed door",
        next_command: str = "",
    ) -> None:
        super().__init__(what, state=state, next_command=next_command)
        self.reason = reason
        self.until = until
        """When it can go on (window), or is given up (approval); None: not known."""


class StepFailed(OpsplayError):
    """A step did not reach what it declared."""


class DrillFailed(StepFailed):
    """A restore drill did not prove its backup, or a promise to the client was not kept."""

    exit_status = ExitStatus.DRILL_FAILED


class OutcomeUnknown(StepFailed):
    """An act was ended from outside and left no status: it may have been done, or half done."""


class Unanswered(OpsplayError):
    """Nobody knows whether an act was done, and only a person can say what to do about it."""


class UnreadableAnswer(StepFailed):
    """A host's answer could not be understood: nothing may be concluded from it."""


class VaultRefused(OpsplayError):
    """The storage refused, or does not hold what it should."""


class LabBroken(OpsplayError):
    """A part of the embedded lab is missing, did not start, or died."""


class WouldChange(OpsplayError):
    """A dry run was about to send something that is not a probe: a defect; nothing was sent."""


class Interrupted(OpsplayError):
    """Somebody pressed Ctrl-C or sent SIGTERM; the state is journalled."""

    exit_status = ExitStatus.INTERRUPTED
