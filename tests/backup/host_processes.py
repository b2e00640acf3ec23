"""What runs on a host, while it works and when it should have ended."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 30.0
_LOOKS = 4


@dataclass(frozen=True, order=True)
class Process:
    """One process of the host."""

    started: int
    pid: int
    name: str
    state: str
    seconds: int
    """On a processor so far, in ticks."""


def processes(home: Path) -> list[Process]:
    """Return what runs on the host, oldest first: what has this home directory in its environment."""
    mark = f"HOME={home}\0".encode()
    pids = filter(str.isdigit, os.listdir("/proc"))  # noqa: PTH208 - often, and of hundreds
    return sorted(one for pid in pids if (one := _process(pid, mark)))


def _process(pid: str, mark: bytes) -> Process | None:
    try:
        if mark not in _read(f"/proc/{pid}/environ"):
            return None
        name, rest = _read(f"/proc/{pid}/stat").decode().partition("(")[2].rsplit(")", 1)
    except OSError:
        return None
    words = rest.split()  # from the third of proc_pid_stat(5) on
    if words[0] in "ZX":
        return None
    ticks = int(words[11]) + int(words[12])
    return Process(int(words[19]), int(pid), name, words[0], ticks)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 17)
    finally:
        os.close(descriptor)


def at_rest(home: Path) -> list[Process]:
    """Return what runs on the host once all of it waits for somebody else."""
    ends = time.monotonic() + _PATIENCE
    seen, same = processes(home), 0
    while same < _LOOKS and time.monotonic() < ends:
        time.sleep(0.003)
        now = processes(home)
        asleep = all(one.state == "S" for one in now)
        seen, same = now, same + 1 if asleep and now == seen else 0
    return seen


def await_the_end(home: Path) -> None:
    """Nobody is there to end what a dead controller left running: it has to end by itself."""
    ends = time.monotonic() + _PATIENCE
    while alive := processes(home):
        if time.monotonic() > ends:
            for one in alive:
                os.kill(one.pid, signal.SIGKILL)
            raise AssertionError(f"still running on the host: {[one.name for one in alive]}")
        time.sleep(0.01)
