"""One backup or restore, the whole of it: time, and what it costs the host in CPU and memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.accounts import Books, Group, Tree
from tests.bench.hosts import Fleet
from tests.bench.timing import Command, measured

_EVERY = 0.05
_LOOKS_SHARE = 0.02
"""The share of a core that looking at memory may cost."""


@dataclass(frozen=True)
class Cost:
    """What one act cost. Seconds; MB are 10⁶ bytes."""

    wall: float
    host_cpu: float
    """Of everything that ran on the host."""
    host_memory: float
    """The most that all processes on the host had at once; shared pages count once."""
    controller_cpu: float
    controller_memory: float
    foreign: float
    """Cores that neither the tool nor the host took: database and S3 server, and anybody else."""
    stored: float = 0.0
    """MB that the storage holds more than before."""
    step: float = 0.0
    """Of `wall` the step's own time, where the tool journals it; else 0."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the numbers by name, rounded to what they are worth."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


class _Peak(threading.Thread):
    """Looks again and again at the memory of an account's processes."""

    def __init__(self, account: Group | Tree, leaving_out: frozenset[int]) -> None:
        super().__init__(daemon=True)
        self._account, self._others = account, leaving_out
        self._over = threading.Event()
        self.most = 0

    def run(self) -> None:
        pause = _EVERY
        while not self._over.wait(pause):
            begun = time.thread_time()
            held = sum(_held(pid) for pid in set(self._account.pids()) - self._others)
            self.most = max(self.most, held)
            # Looking makes the kernel count pages: it must not become the load.
            pause = max(_EVERY, (time.thread_time() - begun) / _LOOKS_SHARE)

    def stop(self) -> None:
        self._over.set()
        self.join()


def _held(pid: int) -> int:
    """Return a process's share of memory in bytes: shared pages are divided among their users."""
    from tests.bench.timing import _held as held

    return held(pid)


def cost(
    command: Command, fleet: Fleet, books: Books, stored: Callable[[], int], *, over_ssh: bool
) -> Cost:
    """Run a command and return its cost. Raises Failed when it fails.

    `over_ssh`: the command is a controller, and the host is where sshd is; else it runs on the
    host itself, and there is no controller.
    """
    before, peak = stored(), _Peak(fleet.account, fleet.listeners)
    peak.start()
    try:
        run = measured(command, fleet, books, None)
    finally:
        peak.stop()
    more = max(0, stored() - before) / 1e6
    if over_ssh:
        host = peak.most / 1e6
        return Cost(run.wall, run.hosts_cpu, host, run.cpu, run.memory, run.foreign, more)
    return Cost(run.wall, run.cpu, run.memory, 0.0, 0.0, run.foreign, more)


def wait_for_quiet(seconds: float = 0.2) -> None:
    """Let servers finish what they do behind our back."""
    time.sleep(seconds)
