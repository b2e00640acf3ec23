"""Opsplay in a process of its own: begun by a tick, and not waited for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from opsplay.core.errors import OpsplayError

MOST_LOG = 1_000_000
"""Bytes after which a log begins anew; the one before is kept beside it."""


def program() -> tuple[str, ...]:
    """Return the words that start this very installation of opsplay, wherever one is."""
    beside = Path(sys.executable).with_name("opsplay")
    if beside.is_file():
        return (str(beside),)
    return (sys.executable, "-c", "from opsplay.cli import main; main()")


def begin(words: Sequence[str], log: Path, journal: str = "") -> int:
    """Start opsplay with these words in a session of its own; return its process id.

    What it prints is added to `log`. `journal`: a URL, which is told to it without showing it to
    everybody on this machine. Raises OpsplayError when it cannot be started.
    """
    told = {"OPSPLAY_JOURNAL": journal} if journal else {}
    line = [*program(), *words]
    trim(log)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = {**os.environ, **told}
        return os.posix_spawn(line[0], line, known, file_actions=actions, setsid=True)
    except OSError as error:
        raise OpsplayError(f"{line[0]} cannot be started: {error.strerror}") from error


def trim(log: Path) -> None:
    """Let a log that has grown long begin anew; who writes to its end goes on doing so."""
    if log.is_file() and log.stat().st_size > MOST_LOG:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
