"""Whose CPU time it was: one account for a tool, one for the hosts, one for the slow line.

Where this user may make control groups, the kernel keeps the accounts, exactly, whatever the
processes fork. Elsewhere they are added up from the process tree: what an orphan used between two
looks is lost then, and the report says so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

_TICKS = os.sysconf("SC_CLK_TCK")
_ROOT = Path("/sys/fs/cgroup")


class Account(Protocol):
    """CPU time of a group of processes."""

    def enter(self) -> None:
        """Put the calling process into the account, and with it all that it starts."""
        ...

    def joined(self, pid: int) -> None:
        """Say that this child has entered."""
        ...

    def seconds(self) -> float:
        """Return the CPU seconds used so far, by those that have ended too."""
        ...

    def pids(self) -> list[int]:
        """Return the processes that are alive."""
        ...


class Group:
    """An account that the kernel keeps, in a control group of its own."""

    exact = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def enter(self) -> None:
        """Put the calling process into the account, and with it all that it starts."""
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    def joined(self, pid: int) -> None:
        """Do nothing: the kernel knows."""

    def seconds(self) -> float:
        """Return the CPU seconds used so far, by those that have ended too."""
        old = self._folder / "cpuacct.usage"
        if old.exists():
            return int(old.read_text()) / 1e9
        words = (self._folder / "cpu.stat").read_text().split()
        return int(words[words.index("usage_usec") + 1]) / 1e6

    def pids(self) -> list[int]:
        """Return the processes that are alive."""
        return [int(pid) for pid in (self._folder / "cgroup.procs").read_text().split()]


class Tree:
    """An account that is added up from the processes that came from those that joined."""

    exact = False

    def __init__(self) -> None:
        self._roots: set[int] = set()
        self._ended = 0.0
        self._known: dict[int, float] = {}

    def enter(self) -> None:
        """Lead a session of one's own, by which orphans are found."""

    def joined(self, pid: int) -> None:
        """Say that this child has entered."""
        self._roots.add(pid)

    def seconds(self) -> float:
        """Return the CPU seconds used so far; children count once their parent waited for them."""
        now = {pid: _used(pid) for pid in self.pids()}
        gone = self._known.keys() - now.keys()
        self._ended += sum(self._known[pid] for pid in gone & self._roots)
        self._known = now
        return self._ended + sum(now.values())

    def pids(self) -> list[int]:
        """Return the processes that are alive."""
        parents = {pid: _parents(pid) for pid in _all_pids()}
        return [pid for pid, above in parents.items() if {pid, *above} & self._roots]


class Books:
    """All accounts of one benchmark; a context manager that ends what is left in them."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._accounts: dict[str, Group | Tree] = {}

    def __enter__(self) -> Self:
        self._folder = next(_writable(f"opsplay-bench-{os.getpid()}"), None)
        return self

    def __exit__(self, *_: object) -> None:
        for account in self._accounts.values():
            end(account.pids())
        for name in self._accounts:
            self._remove(name)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    @property
    def exact(self) -> bool:
        """Return whether the kernel keeps the accounts."""
        return self._folder is not None

    def open(self, name: str) -> Group | Tree:
        """Return a new, empty account."""
        if self._folder is None:
            self._accounts[name] = Tree()
        else:
            (self._folder / name).mkdir()
            self._accounts[name] = Group(self._folder / name)
        return self._accounts[name]

    def close(self, name: str) -> None:
        """End what is left in an account, and forget it."""
        end(self._accounts[name].pids())
        self._remove(name)
        del self._accounts[name]

    def _remove(self, name: str) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / name).rmdir()


def machine_seconds() -> float:
    """Return the CPU seconds that anybody on this machine used, or its host took away."""
    words = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _waiting, irq, soft, stolen = (int(word) for word in words)
    return (user + nice + system + irq + soft + stolen) / _TICKS


def end(pids: list[int], patience: float = 5.0) -> None:
    """End processes by pid: politely, then for good; return when they are gone."""
    waiting = set(pids)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in waiting:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        ends = time.monotonic() + patience
        while waiting and time.monotonic() < ends:
            waiting = {pid for pid in waiting if _lives(pid)}
            time.sleep(0.01)


def _lives(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _writable(name: str) -> Iterator[Path]:
    """Make a group of this name and give it, where the system lets us; old kind and new."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        below = path.lstrip("/")
        if "cpuacct" in kinds.split(","):
            places = [_ROOT / kinds / below, _ROOT / "cpuacct" / below]
        else:
            places = [_ROOT / below] if kinds == "" else []
        for place in places:
            with contextlib.suppress(OSError):
                if (place / "cpuacct.usage").exists() or (place / "cpu.stat").exists():
                    (place / name).mkdir()
                    yield place / name


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _used(pid: int) -> float:
    words = _stat(pid)
    return sum(int(word) for word in words[11:15]) / _TICKS if words else 0.0


def _parents(pid: int) -> list[int]:
    found: list[int] = []
    while pid > 1:
        words = _stat(pid)
        pid = int(words[1]) if words else 0
        found.append(pid)
    return found
