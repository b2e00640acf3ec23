"""Acts on a host that run as detached jobs: scripts and files. Their result is read, not assumed."""

from __future__ import annotations

from opsplay.core.action import Shell, Write
from opsplay.core.errors import OutcomeUnknown, StepFailed
from opsplay.engine.job import Job, JobReport, JobState
from opsplay.kit.shell import assign, quote


def run_shell(job: Job, shell: Shell) -> JobReport:
    """Run a script to its end. Raises StepFailed unless it ended with status 0."""
    try:
        report = job.run(_guarded(shell), secrets=shell.secrets, timeout=shell.timeout)
    except TimeoutError as error:
        raise StepFailed(str(error)) from error
    return accept(report)


def run_job(job: Job, script: str) -> JobReport:
    """Run the script of several acts to its end, whatever they come to; the report tells."""
    try:
        return job.run(script)
    except TimeoutError as error:
        raise StepFailed(str(error)) from error


def looking(shell: Shell) -> str:
    """Return the shell condition that says whether an act has nothing to do."""
    return (
        f"( eval {quote(shell.unless)}\n) >/dev/null 2>&1 </dev/null" if shell.unless else "false"
    )


def _guarded(shell: Shell) -> str:
    return f"if {looking(shell)}; then exit 0; fi\n{shell.script}" if shell.unless else shell.script


def accept(report: JobReport) -> JobReport:
    """Return a report that says the job went well. Raises StepFailed for any other."""
    if report.state == JobState.LOST:
        told = f":\n{report.told}" if report.told else ""
        raise OutcomeUnknown(
            "the act was ended from outside before it was done (host restarted, or out of memory?)"
            + told,
            state="what it did so far is looked up before anything else is done",
        )
    if report.state == JobState.ABSENT:
        raise StepFailed(
            "the host did not begin it",
            state="nothing was done by it",
            next_command="df -h ~ on the host",
        )
    if report.exit_status != 0:
        told = f":\n{report.told}" if report.told else ""
        raise StepFailed(f"the host answered with exit status {report.exit_status}{told}")
    return report


def write_script(write: Write) -> str:
    """Return the script that puts a text into a file: keep the old one, rename, read back.

    Run again, it keeps what it kept at first: the way back must not lead to its own text.
    """
    return f"{PUT}{put_call(write)}\n{_READ_BACK}"


def put_call(write: Write) -> str:
    """Return the lines that do a `Write` where the shell knows `PUT`; they end with its status."""
    values = {"f": write.path, "content": write.content, "mode": f"{write.mode:o}"}
    lines = [assign(name, value) for name, value in values.items()]
    return "\n".join([*lines, assign("kept", write.kept), "put"])


PUT = r"""
put() {
  # A process costs the host more than all that the shell does by itself: no more than are needed.
  t="$f.opsplay.$$"
  before=${OPSPLAY_RUN_DIR:?}/before
  kept=$before/$kept
  umask 077
  [ -d "$before" ] || mkdir -p "$before" || return 1
  if [ ! -e "$kept" ] && [ ! -L "$kept" ] && [ ! -e "$kept.absent" ]; then
    if [ -e "$f" ] || [ -L "$f" ]; then
      cp -pP "$f" "$kept.new" && mv "$kept.new" "$kept"
    else
      : > "$kept.absent"
    fi || { echo "the old $f could not be kept; nothing was changed" >&2; return 1; }
  fi
  case $f in ?*/*) where=${f%/*} ;; /*) where=/ ;; *) where=. ;; esac
  # A directory that visitors' files lie in must be open to them.
  [ -d "$where" ] || (umask 022; mkdir -p "$where") || return 1
  printf %s "$content" > "$t" && chmod "$mode" "$t" && mv "$t" "$f" || return 1
  umask 022
}
"""
"""Shell function that puts `$content` into `$f`, with the old file kept as `$kept`."""
_READ_BACK = r"""
[ $? -eq 0 ] && printf %s "$content" | cmp -s - "$f"
"""
