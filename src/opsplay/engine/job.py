"""Detached jobs: a script that runs on the host whatever becomes of the line and of us.

Everything about a job lies in `~/.opsplay/jobs/JOB` on its host: `script`, `claimed`, `pid`,
`out`, `err`, `rc`. `claimed` is made by `mkdir`, which succeeds once: however often a start is
sent, the script runs at most once. So a start may be repeated after a cut line, and a controller
that died can come back and ask how it went.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from opsplay.core.errors import Interrupted, LineCut, UnreadableAnswer
from opsplay.core.transport import Transport
from opsplay.engine.tools import Tools
from opsplay.kit.secret import Secret
from opsplay.kit.shell import assign, quote

_TAIL = 32768
"""Bytes of each output stream that are fetched; the whole stays on the host."""
_TURNS = 56
"""Looks of one call: 40 at 0.05 s, then 16 at 0.25 s, so a call lasts 6 s at most."""
_ANSWER_SECONDS = 90.0
"""Far longer than the 6 s that a call lasts: a host that is silent for so long is as good as gone."""
_SPLIT = "=====opsplay-job====="


class JobState(StrEnum):
    """How a job stands, as its host says."""

    ABSENT = "absent"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    """It was started, is not running and left no status: killed from outside, or a reboot."""


@dataclass(frozen=True)
class JobReport:
    """What the host says about a job."""

    state: JobState
    exit_status: int = -1
    output: str = ""
    errors: str = ""

    @property
    def told(self) -> str:
        """Return the last lines of what the script wrote, for a person."""
        lines = [*self.output.strip().splitlines(), *self.errors.strip().splitlines()]
        return "\n".join(lines[-20:])


_LAUNCH = r"""
if [ ! -f "$d/rc" ] && [ ! -d "$d/claimed" ]; then
  mkdir -p "$d" "$OPSPLAY_RUN_DIR" || exit 91
  IFS=' ' read -r length secrets || exit 94
  cat > "$d/script.$$" || exit 92
  # A line cut while sending ends the input too: what is not whole is never run.
  if [ "$(wc -c < "$d/script.$$")" -ne "$length" ]; then rm -f "$d/script.$$"; exit 94; fi
  mv "$d/script.$$" "$d/script" || exit 92
  if [ -n "$secrets" ]; then : > "$d/private"; eval "$(printf %s "$secrets" | base64 -d)"; fi
  starter=nohup; if command -v setsid >/dev/null 2>&1; then starter=setsid; fi
  $starter sh -c 'mkdir "$1/claimed" 2>/dev/null || exit 0
    # A full disk writes empty files: without a pid nobody could tell that it runs, so it does not.
    echo $$ > "$1/pid"; [ -s "$1/pid" ] || { rm -f "$1/pid"; rmdir "$1/claimed"; exit 93; }
    cd "$HOME" || exit 93
    umask 022
    sh "$1/script" > "$1/out" 2> "$1/err" < /dev/null
    echo $? > "$1/rc.new"; [ -s "$1/rc.new" ] || exit 93
    sync "$1/rc.new" 2>/dev/null; mv "$1/rc.new" "$1/rc"
  ' opsplay-job "$d" </dev/null >/dev/null 2>&1 &
fi
"""

_WAIT = r"""
alive() {
  [ -f "$d/pid" ] || return 1
  p=$(cat "$d/pid"); kill -0 "$p" 2>/dev/null || return 1
  [ ! -r "/proc/$p/cmdline" ] || grep -q opsplay-job "/proc/$p/cmdline"
}
n=0; gone=0
while [ ! -f "$d/rc" ] && [ "$n" -lt "$turns" ]; do
  n=$((n + 1))
  [ -d "$d" ] || break
  # Dead with a pid: the status follows at once or never. Without one: not yet claimed, wait longer.
  if alive; then gone=0; else gone=$((gone + 1)); fi
  if [ -f "$d/pid" ]; then limit=4; else limit=40; fi
  [ "$gone" -lt "$limit" ] || break
  if [ "$n" -lt 40 ]; then sleep 0.05 2>/dev/null || sleep 1
  else sleep 0.25 2>/dev/null || sleep 1; fi
done
if [ -f "$d/rc" ]; then echo "ended $(cat "$d/rc")"
elif [ ! -d "$d/claimed" ]; then
  # Who bars a job claims it: a start that is still on its way then begins nothing any more.
  if [ "$bar" = 1 ] && mkdir -p "$d" && ! mkdir "$d/claimed" 2>/dev/null; then echo "running 0"
  else echo "absent 0"; fi
elif alive; then echo "running 0"
else echo "lost 0"; fi
"""

_TELL = rf"""
if [ -f "$d/rc" ]; then
  tail -c {_TAIL} "$d/out"; printf '\n{_SPLIT}\n'; tail -c {_TAIL} "$d/err"
  # A command may print its own secrets: what it said is told once, and not kept on the host.
  if [ -f "$d/private" ]; then : > "$d/out"; : > "$d/err"; fi
fi
exit 0
"""


def run_directory(run: str, site: str, environment: str, stage: str) -> str:
    """Return the name below `~/.opsplay/runs` of what one stage of a run keeps on the host.

    Each stage has its own restore point: visitors may have been in between two of them.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", stage).strip("-").lower()
    mark = hashlib.sha256(stage.encode()).hexdigest()[:6]
    return f"{run}/{site}-{environment}/{plain}-{mark}"


def _head(job: str, directory: str, turns: int, *, bar: bool = False) -> str:
    return "\n".join(
        [
            "umask 077",
            assign("turns", str(turns)),
            assign("bar", str(int(bar))),
            f'd="$HOME/.opsplay/jobs/"{quote(job)}',
            f'OPSPLAY_RUN_DIR="$HOME/.opsplay/runs/"{quote(directory)}',
            'export OPSPLAY_RUN_DIR; mkdir -p "$HOME/.opsplay/jobs"; chmod 700 "$HOME/.opsplay"',
        ]
    )


def start_script(job: str, directory: str, turns: int = _TURNS) -> str:
    """Return the script that starts a job unless it was started, waits a while, and reports.

    Standard input: one line with the script's length in bytes and the secrets (base64 of `export`
    statements, or nothing), then the job's script.
    """
    return _head(job, directory, turns) + _LAUNCH + _WAIT + _TELL


def watch_script(job: str, directory: str, turns: int = _TURNS, *, bar: bool = False) -> str:
    """Return the script that waits a while for a job and reports; it never starts one.

    `bar`: a job that was not started cannot be started any more.
    """
    return _head(job, directory, turns, bar=bar) + _WAIT + _TELL


def kill_script(job: str) -> str:
    """Return the script that ends a job's process group."""
    return (
        f'd="$HOME/.opsplay/jobs/"{quote(job)}; [ -f "$d/pid" ] || exit 0; p=$(cat "$d/pid")\n'
        'kill -s TERM -- "-$p" 2>/dev/null || kill -s TERM "$p" 2>/dev/null; sleep 2\n'
        'kill -s KILL -- "-$p" 2>/dev/null; exit 0'
    )


def payload(script: str, secrets: Mapping[str, Secret]) -> bytes:
    """Return what a start reads from its standard input."""
    exports = "\n".join(
        f"export {name}; {assign(name, secret.reveal())}" for name, secret in secrets.items()
    )
    body = script.encode()
    return f"{len(body)} ".encode() + base64.b64encode(exports.encode()) + b"\n" + body


def read_report(text: str) -> JobReport:
    """Return what a start or a watch said. Raises UnreadableAnswer."""
    first, _, rest = text.lstrip("\n").partition("\n")
    state, _, status = first.partition(" ")
    if state not in set(JobState) or not status.strip().lstrip("-").isdigit():
        raise UnreadableAnswer(f"the host said {first!r} of a job, which proves nothing")
    output, _, errors = rest.partition(f"\n{_SPLIT}\n")
    ended = state == JobState.ENDED
    return JobReport(JobState(state), int(status) if ended else -1, output, errors)


@dataclass(frozen=True)
class Job:
    """One job of a run on one environment."""

    name: str
    directory: str
    transport: Transport
    tools: Tools
    turns: int = _TURNS
    """How often one call looks before it comes back to tell that the job is still running."""

    def run(
        self, script: str, *, secrets: Mapping[str, Secret] | None = None, timeout: float = 3600.0
    ) -> JobReport:
        """Start the script unless it was started, wait for its end, return the report.

        Raises LineCut or Unreachable when the host stays away (the job may go on), TimeoutError
        when it was ended after `timeout` seconds, Interrupted on a second request to stop.
        """
        self.tools.learn(*(secret.reveal() for secret in (secrets or {}).values()))
        data = payload(script, secrets or {})
        ends = self.tools.clock.monotonic() + timeout
        turns = self._turns(timeout)
        report = self._call(start_script(self.name, self.directory, turns), data)
        return self._until_ended(report, ends, timeout)

    def wait(self, timeout: float = 3600.0, *, bar: bool = False) -> JobReport:
        """Wait until the job has ended, is lost or was never there; never start it.

        `bar`: if it was never there, see to it that it never will be.
        """
        ends = self.tools.clock.monotonic() + timeout
        watch = watch_script(self.name, self.directory, self._turns(timeout), bar=bar)
        return self._until_ended(self._call(watch, b""), ends, timeout)

    def _until_ended(self, report: JobReport, ends: float, timeout: float) -> JobReport:
        while report.state == JobState.RUNNING:
            if self.tools.stop.at_once:
                raise Interrupted("stopped at once; the act under way goes on on the host")
            left = ends - self.tools.clock.monotonic()
            if left <= 0:
                self.transport.run(kill_script(self.name))
                raise TimeoutError(f"not done after {timeout:.0f} s; it was ended")
            report = self._call(watch_script(self.name, self.directory, self._turns(left)), b"")
        return report

    def _turns(self, seconds: float) -> int:
        return min(self.turns, max(1, int(seconds / 0.05)))

    def _call(self, script: str, data: bytes) -> JobReport:
        try:
            answer = self.transport.run(script, stdin=data, timeout=_ANSWER_SECONDS)
        except TimeoutError as error:
            raise LineCut(
                f"host {self.transport.host} did not answer within {_ANSWER_SECONDS:.0f} s",
                state="the act under way goes on on the host",
            ) from error
        if not answer.ok:
            raise UnreadableAnswer(
                f"the host could not keep a job (exit status {answer.exit_status}):"
                f" {answer.stderr.strip()[-500:]}",
                next_command="df -h ~ on the host",
            )
        return read_report(answer.stdout)
