"""Detached jobs: a script that runs on the host whatever becomes of the line and of us.

Everything about a job lies in `~/.opsplay/jobs/JOB` on its host: `script`, `claimed`, `pid`,
`out`, `err`, `rc`. `claimed` is made by `mkdir`, which succeeds once: however often a start is
sent, the script runs at most once. So a start may be repeated after a cut line, and a controller
that died can come back and ask how it went.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum

from opsplay.core.errors import Interrupted, LineCut, UnreadableAnswer
from opsplay.core.query import Answer, Asked
from opsplay.core.transport import Transport
from opsplay.engine.ask import ASKING_TIMEOUT
from opsplay.engine.fence import Fence
from opsplay.engine.job_scripts import (
    SPLIT,
    TURNS,
    kill_script,
    payload,
    start_script,
    watch_script,
)
from opsplay.engine.probe import dismount, riding
from opsplay.engine.tools import Tools
from opsplay.kit.secret import Secret

_ANSWER_SECONDS = 90.0
"""Far longer than the 6 s that a call lasts: a host that is silent for so long is as good as gone."""
_ENDED_BY_A_SIGNAL = frozenset({255, 128 + 9, 128 + 15, -9, -15})
"""Exit statuses, as SSH or a shell tells them: as good as a cut line, for a start may be repeated."""


class JobState(StrEnum):
    """How a job stands, as its host says."""

    ABSENT = "absent"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    """It was started, is not running and left no status: killed from outside, or a reboot."""
    FENCED = "fenced"
    """The host refused it: this process does not hold the lock any more."""


@dataclass(frozen=True)
class JobReport:
    """What the host says about a job."""

    state: JobState
    exit_status: int = -1
    output: str = ""
    errors: str = ""
    looked: tuple[Answer, ...] = ()
    """What was answered to the questions that rode along, if the job had ended by then."""

    @property
    def told(self) -> str:
        """Return the last lines of what the script wrote, for a person."""
        lines = [*self.output.strip().splitlines(), *self.errors.strip().splitlines()]
        return "\n".join(lines[-20:])


def run_directory(run: str, site: str, environment: str, stage: str) -> str:
    """Return the name below `~/.opsplay/runs` of what one stage of a run keeps on the host.

    Each stage has its own restore point: visitors may have been in between two of them.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", stage).strip("-").lower()
    mark = hashlib.sha256(stage.encode()).hexdigest()[:6]
    return f"{run}/{site}-{environment}/{plain}-{mark}"


def read_report(text: str) -> JobReport:
    """Return what a start or a watch said. Raises UnreadableAnswer."""
    first, _, rest = text.lstrip("\n").partition("\n")
    state, _, status = first.partition(" ")
    if state not in set(JobState) or not status.strip().lstrip("-").isdigit():
        raise UnreadableAnswer(f"the host said {first!r} of a job, which proves nothing")
    output, _, errors = rest.partition(f"\n{SPLIT}\n")
    ended = state == JobState.ENDED
    return JobReport(JobState(state), int(status) if ended else -1, output, errors)


@dataclass(frozen=True)
class Job:
    """One job of a run on one environment."""

    name: str
    directory: str
    transport: Transport
    tools: Tools
    turns: int = TURNS
    """How often one call looks before it comes back to tell that the job is still running."""
    fence: Fence | None = None
    """What the host has to see held before anything begins; None for acts outside of locks."""
    killable: bool = False
    """Whether `cancel --now` ends it."""
    then: tuple[Asked, ...] = ()
    """What its host is asked as soon as it has ended, in the same breath."""

    def run(
        self, script: str, *, secrets: Mapping[str, Secret] | None = None, timeout: float = 3600.0
    ) -> JobReport:
        """Start the script unless it was started, wait for its end, return the report.

        Raises LineCut or Unreachable when the host stays away (the job may go on), TimeoutError
        when it was ended after `timeout` seconds, Interrupted on a second request to stop, Fenced
        when the host refused to begin it.
        """
        self.tools.learn(*(secret.reveal() for secret in (secrets or {}).values()))
        data = payload(script, secrets or {})
        ends = self.tools.clock.monotonic() + timeout
        turns = self._turns(timeout)
        ride, mark = riding(self.then) if self.then else ("", "")
        start = start_script(self.name, self.directory, turns, self.fence, ride)
        with self._ending():
            return self._until_ended(self._call(start, data, mark), ends, timeout)

    def wait(self, timeout: float = 3600.0, *, bar: bool = False) -> JobReport:
        """Wait until the job has ended, is lost or was never there; never start it.

        `bar`: if it was never there, see to it that it never will be.
        """
        ends = self.tools.clock.monotonic() + timeout
        with self._ending():
            return self._until_ended(self._watch(timeout, bar=bar), ends, timeout)

    def _ending(self) -> AbstractContextManager[None]:
        """Have it ended by `cancel --now`, also in the middle of a look that lasts seconds."""
        return self.tools.stop.ending(self._kill) if self.killable else nullcontext()

    def _kill(self) -> None:
        self.transport.run(kill_script(self.name, self.fence))

    def _until_ended(self, report: JobReport, ends: float, timeout: float) -> JobReport:
        while report.state == JobState.RUNNING:
            if self.tools.stop.at_once:
                raise Interrupted("stopped at once; the act under way goes on on the host")
            left = ends - self.tools.clock.monotonic()
            if self.killable and self.tools.stop.killing:
                self._kill()  # it had no process yet when all were ended
            if left <= 0:
                self._kill()
                raise TimeoutError(f"not done after {timeout:.0f} s; it was ended")
            report = self._watch(left)
        return report

    def _watch(self, seconds: float, *, bar: bool = False) -> JobReport:
        turns = self._turns(seconds)
        return self._call(watch_script(self.name, self.directory, turns, self.fence, bar=bar), b"")

    def _turns(self, seconds: float) -> int:
        return min(self.turns, max(1, int(seconds / 0.05)))

    def _call(self, script: str, data: bytes, mark: str = "") -> JobReport:
        patience = _ANSWER_SECONDS + (ASKING_TIMEOUT if mark else 0)
        try:
            answer = self.transport.run(script, stdin=data, timeout=patience)
        except TimeoutError as error:
            raise LineCut(
                f"host {self.transport.host} did not answer within {patience:.0f} s",
                state="the act under way goes on on the host",
            ) from error
        if answer.exit_status in _ENDED_BY_A_SIGNAL:
            raise LineCut(
                f"host {self.transport.host} ended our script before it answered",
                state="the act under way may go on on the host",
            )
        if not answer.ok:
            raise UnreadableAnswer(
                f"the host could not keep a job (exit status {answer.exit_status}):"
                f" {answer.stderr.strip()[-500:]}",
                state="nothing was begun on the host",
                next_command="df -h ~ on the host",
            )
        answer, looked = dismount(answer, mark, len(self.then)) if mark else (answer, ())
        report = replace(read_report(answer.stdout), looked=looked)
        if report.state == JobState.FENCED and self.fence:
            raise self.fence.refuse(report.output)
        return report
