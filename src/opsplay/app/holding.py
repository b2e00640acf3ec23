"""Keep a run's sites for one process: on this machine, or among all workers of a database."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from opsplay.app.options import Options
from opsplay.app.presence import Presence
from opsplay.core.errors import Locked, OpsplayError
from opsplay.core.site import Site
from opsplay.journal import is_url
from opsplay.journal.rows import Claim

_MANY = 200
_SELECTABLE = 1024
"""Connections need low numbers: select(2) knows no higher ones."""
_OTHERS = 1000
"""Connections, pipes and files besides the locks."""


@contextmanager
def held(
    options: Options, sites: Iterable[Site], run: str, *, submitted: bool = False
) -> Iterator[Claim | None]:
    """Hold the sites for a run. Raises Locked.

    Gives what has to go with the event that begins or resumes the run: with a journal in PostgreSQL
    the sites are taken in the same transaction. `submitted`: workers take the run up if we die.
    """
    names = sorted(site.name for site in sites)
    if not is_url(options.journal_at):
        with controller_lock(options.state, names, run):
            yield None
        return
    with ExitStack() as stack:
        presence = options.presence or stack.enter_context(
            Presence(str(options.journal_at), options.clock)
        )
        try:
            yield presence.claim(run, names, submitted=submitted)
        finally:
            presence.done(run)


@contextmanager
def controller_lock(state: Path, sites: Iterable[str], run: str) -> Iterator[None]:
    """Hold the sites on this machine for a run; a lock dies with its process. Raises Locked."""
    folder, names = state / "locks", list(sites)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        least = _room_for(len(names))
        for site in names:
            lock = _opened(folder / f"{site}.lock", least)
            stack.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(lock, 200, 0).decode().strip()
                raise Locked(
                    f"run {holder} on this machine is at work on it",
                    site=site,
                    state="this run changed nothing",
                    next_command=f"invoke logs {holder}",
                ) from error
            os.ftruncate(lock, 0)
            os.write(lock, run.encode())
        yield


def _opened(path: Path, least: int) -> int:
    low = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if not least:
        return low
    try:
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, least)
    finally:
        os.close(low)


def _room_for(count: int) -> int:
    """Make room for as many locks; return the least number their descriptors should have.

    Raises OpsplayError when this machine does not let one process have so many files open.
    """
    if count < _MANY:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _SELECTABLE + count + _OTHERS
    if soft < wanted and (hard == resource.RLIM_INFINITY or hard >= wanted):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    elif soft < wanted:
        raise OpsplayError(
            f"{count} sites need {wanted} open files, and this machine allows {hard}",
            state="nothing was contacted",
            next_command=f"ulimit -Hn {wanted}, as root; or narrow the sites with --limit",
        )
    return _SELECTABLE
