"""Acts on a host that run as detached jobs: scripts and files. Their result is read, not assumed."""

from __future__ import annotations

from opsplay.core.action import Shell, Write
from opsplay.core.errors import StepFailed
from opsplay.engine.job import Job, JobReport, JobState
from opsplay.kit.shell import quote


def run_shell(job: Job, shell: Shell) -> JobReport:
    """Run a script to its end. Raises StepFailed unless it ended with status 0."""
    try:
        report = job.run(shell.script, secrets=shell.secrets, timeout=shell.timeout)
    except TimeoutError as error:
        raise StepFailed(str(error)) from error
    return accept(report)


def accept(report: JobReport) -> JobReport:
    """Return a report that says the job went well. Raises StepFailed for any other."""
    if report.state in {JobState.LOST, JobState.ABSENT}:
        raise StepFailed(
            "the act was ended from outside before it was done (host restarted, or out of memory?)",
            state="what it did so far is looked up before anything else is done",
        )
    if report.exit_status != 0:
        told = f":\n{report.told}" if report.told else ""
        raise StepFailed(f"the host answered with exit status {report.exit_status}{told}")
    return report


def write_script(write: Write) -> str:
    """Return the script that puts a text into a file: temporary name, rename, read back."""
    path, content = quote(write.path), quote(write.content)
    return "\n".join(
        [
            f'f={path}; t="$f.opsplay.$$"; content={content}',
            # A job's umask is 077; a directory that visitors' files lie in must be open to them.
            '(umask 022; mkdir -p "$(dirname "$f")") || exit 1',
            f'(umask 077; printf %s "$content" > "$t") && chmod {write.mode:o} "$t" || exit 1',
            'mv "$t" "$f" && printf %s "$content" | cmp -s - "$f"',
        ]
    )
