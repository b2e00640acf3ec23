"""Run a program to its end and say clearly when it failed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from opsplay.core.errors import LabBroken


def run(
    *words: str | Path,
    feed: bytes = b"",
    env: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout: float = 300.0,
) -> bytes:
    """Return what the program wrote to standard output.

    Raises:
        LabBroken: it ended with a non-zero status (the end of its output is in the message), or
            was not there, or took longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            [str(word) for word in words],
            input=feed,
            capture_output=True,
            env={**os.environ, **(env or {})},
            cwd=directory,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise LabBroken(f"could not run {words[0]}: {problem}") from problem
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")[-2000:].strip()
        raise LabBroken(f"{words[0]} ended with status {done.returncode}: {said}")
    return done.stdout
