"""Death in the middle of a backup or a restore: of the controller, or of one process of the host.

A moment is a line of the protocol said or heard, a question to the host, a request of the host that
has reached the storage, an object that the controller stores. When its moment has come, whoever is
to die does so while everything on the host stands still and waits for us: it is alive for certain.
What is never alive while all stands still dies at one start of its tool: at once, or when all its
work is done and nobody knows.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.backup.deaths import CONTROLLER, TOOLS, Death, Starts
from tests.backup.host_processes import at_rest, await_the_end

from opsplay.core.errors import OpsplayError
from opsplay.core.transport import Transport
from opsplay.transports.around import Around

_PATIENCE = 60.0
"""Seconds for a backup or a restore that has a death in it."""


@dataclass
class Moments:
    """Counts moments; brings the death about when its moment has come."""

    home: Path
    death: Death | None = None
    watching: bool = False
    """Whether to note who is alive at each."""
    names: list[str] = field(default_factory=list)
    living: list[Counter[str]] = field(default_factory=list)
    killed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, name: str) -> None:
        with self._lock:
            self.names.append(name)
            if self.watching:
                self.living.append(Counter(one.name for one in at_rest(self.home)))
            death = self.death
            if death and death.how == "line" and death.at == len(self.names):
                self._bring(death)

    def _bring(self, death: Death) -> None:
        if death.who == CONTROLLER:
            os.kill(os.getpid(), signal.SIGKILL)
        alive = [one for one in at_rest(self.home) if one.name == death.who]
        if death.which < len(alive):
            os.kill(alive[death.which].pid, signal.SIGKILL)
            self.killed = True

    def deaths(self) -> list[Death]:
        """Return every death that a moment may bring, after all was watched."""
        found = [Death(CONTROLLER, at) for at in range(1, len(self.names) + 1)]
        for at, living in enumerate(self.living, 1):
            found += [
                Death(who, at, which=which)
                for who, count in sorted(living.items())
                for which in range(count)
            ]
        return found


def _told(line: bytes) -> str:
    return line[:20].decode(errors="replace").strip()


class _Channel:
    def __init__(self, inner: Any, moments: Moments) -> None:
        self._inner, self._moments = inner, moments

    def send(self, data: bytes) -> None:
        self._moments.passes(f"say {_told(data)}")
        self._inner.send(data)

    def receive(self, size: int = 65536) -> bytes:
        data: bytes = self._inner.receive(size)
        self._moments.passes("read")
        return data

    def receive_line(self) -> bytes:
        line: bytes = self._inner.receive_line()
        self._moments.passes(f"hear {_told(line)}")
        return line

    def finish(self, timeout: float | None = None) -> Any:
        answer = self._inner.finish(timeout)
        self._moments.passes("end")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Counting(Around):
    """A transport whose lines are moments. Pipes of its host are as small as they come, so that a
    small site is enough to fill them."""

    def __init__(self, inner: Transport, moments: Moments) -> None:
        super().__init__(inner)
        self._moments = moments

    def open(self, script: str) -> Any:
        self._moments.passes("ask")
        return _Channel(self._inner.open(script.replace("1 << 20", "1 << 16")), self._moments)

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Any:
        self._moments.passes("ask")
        answer = self._inner.run(script, stdin=stdin, timeout=timeout)
        self._moments.passes("answered")
        return answer


@dataclass(frozen=True)
class Mortal:
    """Something that is done on a host and may end in any death. `act` does it once."""

    home: Path
    folder: Path
    """Where tools that count their starts are put."""
    act: Callable[[Moments], object]

    def moments(self) -> list[str]:
        """Return what each moment is called."""
        moments = Moments(self.home)
        self.act(moments)
        return moments.names

    def deaths(self) -> list[Death]:
        """Return every death there is, seen by doing it twice."""
        watched = Moments(self.home, watching=True)
        self.act(watched)
        counted = Moments(self.home)
        assert _ended(lambda: self._armed(counted, *TOOLS), lambda: True) == "whole"
        return [*watched.deaths(), *Starts(self.folder).deaths()]

    def die(self, death: Death) -> str:
        """Do it with one death in it; return what became of it, once the host is quiet again."""
        moments = Moments(self.home, death)
        if death.how == "line":
            how = _ended(lambda: self.act(moments), lambda: moments.killed)
        else:
            starts = Starts(self.folder)
            how = _ended(lambda: self._armed(moments, death.who), lambda: starts.killed)
        await_the_end(self.home)
        return how

    def _armed(self, moments: Moments, *tools: str) -> None:
        Starts(self.folder).arm(*tools, death=moments.death)
        self.act(moments)


_ENDS = {
    -signal.SIGKILL: "killed",
    0: "whole",
    1: "whole, nobody died",
    2: "refused",
    3: "refused, though nobody died",
}


def _ended(work: Callable[[], object], died: Callable[[], bool]) -> str:
    """Return what became of `work`, done by a process of its own."""
    child = os.fork()
    if not child:
        _be_the_child(work, died)
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return _ENDS.get(os.waitstatus_to_exitcode(status), f"failed with status {status}")
        time.sleep(0.003)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("it hangs for ever")


def _be_the_child(work: Callable[[], object], died: Callable[[], bool]) -> None:
    status = 9
    try:
        work()
        status = 0 if died() else 1
    except OpsplayError:
        status = 2 if died() else 3
    except BaseException:  # noqa: BLE001 - told, and the status says it
        traceback.print_exc()
    finally:
        os._exit(status)
