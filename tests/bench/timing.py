"""One run of one tool, the whole process: time, CPU of both sides, memory, and who else was busy."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.accounts import Books, Group, Tree, machine_seconds
from tests.bench.hosts import Fleet, entering

PATIENCE = 900.0
"""Seconds that one run may take."""
_LOOK_EVERY = 0.02
_LOOKS_SHARE = 0.02
"""The share of a core that looking at memory may cost."""


@dataclass(frozen=True)
class Command:
    """What is run, and where."""

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What one run cost. Times in seconds, memory in MB (10⁶ bytes)."""

    wall: float
    cpu: float
    """Of the tool and all it started, those that outlived it too."""
    hosts_cpu: float
    """Of all hosts together: sshd and what ran there, until all was quiet again."""
    memory: float
    """The most that all processes of the tool had at once; shared pages count once."""
    foreign: float
    """Cores that others took from this machine meanwhile, on average."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the numbers by name, rounded to what they are worth."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


class Failed(Exception):
    """A tool did not do its job: nothing can be said of its speed."""


def measured(command: Command, fleet: Fleet, books: Books, lines: Group | Tree | None) -> Run:
    """Run a command to its end and return what it cost. Raises Failed when it fails."""
    tool = books.open("tool")
    try:
        ours = _Ours(fleet, lines)
        memory = _Memory(tool)
        started = time.perf_counter()
        process, used = _run(command, tool, memory)
        wall = time.perf_counter() - started
        foreign = ours.left_over(tool, used) / wall
        fleet.settle()
        if process.returncode != 0:
            raise Failed(_told(command, process.returncode))
        return Run(wall, _cpu(tool, used), ours.hosts(), memory.most / 1e6, max(0.0, foreign))
    finally:
        books.close("tool")


def output(command: Command) -> str:
    """Return what the last run of a command printed."""
    return (command.folder / "output").read_text("utf-8", "replace")


def _run(
    command: Command, tool: Group | Tree, memory: _Memory
) -> tuple[subprocess.Popen[bytes], Any]:
    with (command.folder / "output").open("wb") as out:
        process = subprocess.Popen(
            command.words, cwd=command.folder, env=dict(command.environment), stdout=out,
            stderr=out, stdin=subprocess.DEVNULL,
            preexec_fn=entering(tool),  # noqa: PLW1509 - no threads run now
        )  # fmt: skip
    tool.joined(process.pid)
    late = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    memory.start()
    try:
        # wait4, not wait: it tells the process's own peak of memory, and what it waited for used.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        late.cancel()
        memory.stop()
    memory.at_least(used.ru_maxrss * 1024)
    return process, used


def _cpu(tool: Group | Tree, used: Any) -> float:
    """Return what a tool used; a tree knows of those alive only, so the rest is added."""
    seconds = tool.seconds()
    return seconds if isinstance(tool, Group) else seconds + used.ru_utime + used.ru_stime


def _told(command: Command, status: int) -> str:
    end = "\n".join(output(command).splitlines()[-25:])
    return f"{Path(command.words[0]).name} ended with status {status}:\n{end}"


class _Ours:
    """What of the machine's CPU time is ours, from now on."""

    def __init__(self, fleet: Fleet, line: Group | Tree | None) -> None:
        self._fleet, self._line = fleet, line
        self._before = machine_seconds()
        self._known = self._used()
        self._hosts_before = fleet.account.seconds()

    def hosts(self) -> float:
        return self._fleet.account.seconds() - self._hosts_before

    def left_over(self, tool: Group | Tree, used: Any) -> float:
        """Return the CPU seconds that neither we nor the tool used."""
        everybody = machine_seconds() - self._before
        return everybody - (self._used() - self._known) - _cpu(tool, used)

    def _used(self) -> float:
        line = self._line.seconds() if self._line is not None else 0.0
        return time.process_time() + self._fleet.account.seconds() + line


class _Memory(threading.Thread):
    """Looks again and again at how much memory a tool's processes hold."""

    def __init__(self, tool: Group | Tree) -> None:
        super().__init__(daemon=True)
        self._tool = tool
        self._over = threading.Event()
        self.most = 0
        """In bytes."""

    def run(self) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            begun = time.thread_time()
            self.at_least(sum(_held(pid) for pid in self._tool.pids()))
            # With a hundred processes one look takes long; it must not become the load.
            pause = max(_LOOK_EVERY, (time.thread_time() - begun) / _LOOKS_SHARE)

    def stop(self) -> None:
        self._over.set()
        self.join()

    def at_least(self, held: int) -> None:
        self.most = max(self.most, held)


def _held(pid: int) -> int:
    """Return a process's share of memory in bytes: shared pages are divided among their users."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # gone meanwhile
        pass
    return 0
