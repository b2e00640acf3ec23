"""The lab's daemons: started in their own session, found again by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opsplay.core.errors import LabBroken

MARK = "OPSPLAY_LAB_MARK"
"""Environment variable that every process of a lab carries; its value is the lab's directory."""


@dataclass(frozen=True)
class Daemon:
    """A program that stays in the foreground of its own session."""

    name: str
    words: tuple[str, ...]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    patience: float = 60.0
    """Seconds it may take until `ready`."""


class Processes:
    """The processes of the lab in one directory, recorded in its `pids.json`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._record = directory / "pids.json"

    def alive(self, name: str) -> bool:
        """Return whether the recorded process still runs (same pid, same start time)."""
        pid, started = self._known().get(name, (0, 0))
        return bool(pid) and _started(pid) == started

    def pid(self, name: str) -> int:
        """Return the recorded pid of a daemon that runs, 0 when it does not."""
        return self._known()[name][0] if self.alive(name) else 0

    def start(self, daemons: Iterable[Daemon]) -> tuple[str, ...]:
        """Start those that do not run, wait until all are ready; return the names started.

        Raises:
            LabBroken: one died or was not ready in time; the end of its log is in the message.
        """
        wanted = [daemon for daemon in daemons if not self.alive(daemon.name)]
        for daemon in wanted:
            self._note(daemon.name, self._spawn(daemon))
        for daemon in wanted:
            self._await(daemon)
        return tuple(daemon.name for daemon in wanted)

    def stop(self, names: Iterable[str] | None = None, *, patience: float = 10.0) -> None:
        """End these daemons (all by default) and wait; those that do not listen are killed."""
        known = self._known()
        chosen = [name for name in (known if names is None else names) if self.alive(name)]
        end([known[name][0] for name in chosen], patience=patience)
        left = {name: one for name, one in known.items() if name not in chosen}
        if known:
            self._save({} if names is None else left)

    def end_strays(self, spare: Iterable[int] = ()) -> None:
        """End what hosts and daemons left behind: every process that carries this lab's mark."""
        keep = {os.getpid(), *spare}
        mark = f"{MARK}={self._directory}\0".encode()
        end([pid for pid in _pids() if pid not in keep and mark in _environ(pid)], patience=2.0)

    def daemon_pids(self) -> set[int]:
        """Return the pids of all daemons, with their children's."""
        daemons = {pid for pid, started in self._known().values() if _started(pid) == started}
        return daemons | {pid for pid in _pids() if _parent(pid) in daemons}

    def _spawn(self, daemon: Daemon) -> int:
        log = self._directory / "logs" / f"{daemon.name}.log"
        for place in (log.parent, self._directory / "tmp"):
            place.mkdir(parents=True, exist_ok=True)
        to_log = (os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), *to_log),
            (os.POSIX_SPAWN_OPEN, 2, str(log), *to_log),
        ]
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self._directory),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self._directory / "tmp"),
            MARK: str(self._directory),
            **daemon.env,
        }
        return os.posix_spawn(
            daemon.words[0], daemon.words, env, file_actions=files, setsid=True, setsigdef=_DEFAULT
        )

    def _await(self, daemon: Daemon) -> None:
        deadline = time.monotonic() + daemon.patience
        while not daemon.ready():
            dead = not self.alive(daemon.name)
            if dead or time.monotonic() > deadline:
                log = self._directory / "logs" / f"{daemon.name}.log"
                said = log.read_text(errors="replace")[-1500:].strip()
                what = "died while starting" if dead else f"not ready in {daemon.patience:.0f} s"
                raise LabBroken(f"{daemon.name}: {what}: {said}", state=f"log: {log}")
            time.sleep(0.02)

    def _known(self) -> dict[str, tuple[int, int]]:
        with contextlib.suppress(FileNotFoundError):
            record = json.loads(self._record.read_text())
            return {name: (pid, started) for name, (pid, started) in record.items()}
        return {}

    def _note(self, name: str, pid: int) -> None:
        self._save(self._known() | {name: (pid, _started(pid))})

    def _save(self, record: Mapping[str, tuple[int, int]]) -> None:
        new = self._record.with_suffix(".new")
        new.write_text(json.dumps(record, indent=1))
        new.replace(self._record)


_DEFAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP)


def end(pids: Iterable[int], *, patience: float) -> None:
    """End processes by pid: SIGTERM, then SIGKILL after `patience` seconds; returns when gone."""
    waiting = {pid: _started(pid) for pid in pids}
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for pid in waiting:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            waiting = {pid: born for pid, born in waiting.items() if _started(pid) == born != 0}
            time.sleep(0.01)


def _started(pid: int) -> int:
    """Return the start time in clock ticks since boot; 0 when it does not run (or is a zombie)."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state in "ZX" else int(rest[18])


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:  # gone, or another user's
        return b""
