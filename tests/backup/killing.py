"""Death in the middle of a backup: of the controller, or of one process of the host.

A moment is a line of the protocol said or heard, a question to the host, or an object that the
controller stores. The backup is taken in a forked child that has one death in it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.backup.conftest import SEGMENT, Bench

from opsplay.core.errors import OpsplayError
from opsplay.core.snapshot import Snapshot
from opsplay.engine.snapshots import load, manifest_keys, verify_listing
from opsplay.transports.around import Around
from opsplay.transports.local import LocalTransport
from opsplay.vaults import open_vault

CONTROLLER = "controller"
HOST = ("sh", "tar", "mariadb-dump", "zstd", "age", "curl", "dd", "perl", "openssl", "gzip", "find")
"""Processes of the host, as `ps` calls them; some live at some moments only."""
_PATIENCE = 60.0
_SEGMENT = 16 * SEGMENT
_SPOOL = 2 * _SEGMENT + (256 << 10)
"""What a dead backup may leave: two segments, lists and programs."""


@dataclass(frozen=True)
class Death:
    """Who dies, and at which moment, counted from 1. A process of the host: the first from then on."""

    who: str
    moment: int

    def __str__(self) -> str:
        return f"{self.who} at {self.moment}"


@dataclass
class Moments:
    """Counts moments; brings the death about when its moment has come."""

    death: Death | None = None
    count: int = 0
    names: list[str] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    killed: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def passes(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.death is None or self.count != self.death.moment:
            return
        if self.death.who == CONTROLLER:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=self._hunt, args=(self.death.who,), daemon=True).start()

    def _hunt(self, who: str) -> None:
        while not self.over.wait(0.001):
            for pid, name, session in _processes():
                if name == who and session in self.sessions:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    self.killed = pid
                    return


class _Channel:
    def __init__(self, inner: Any, moments: Moments) -> None:
        self._inner, self._moments = inner, moments

    def send(self, data: bytes) -> None:
        self._moments.passes(f"say {data[:8]!r}")
        self._inner.send(data)

    def receive_line(self) -> bytes:
        line: bytes = self._inner.receive_line()
        self._moments.passes(f"hear {line[:8]!r}")
        return line

    def finish(self, timeout: float | None = None) -> Any:
        answer = self._inner.finish(timeout)
        self._moments.passes("end")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Transport(Around):
    def __init__(
        self, inner: LocalTransport, moments: Moments, noted: Callable[[int], None]
    ) -> None:
        super().__init__(inner)
        self._moments, self._noted = moments, noted

    def open(self, script: str) -> Any:
        channel: Any = self._inner.open(script)
        self._moments.sessions.append(channel._process.pid)
        self._noted(channel._process.pid)
        return _Channel(channel, self._moments)

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Any:
        self._moments.passes("ask")
        channel = self.open(script)
        try:
            channel.send(stdin)
            channel.send_eof()
            return channel.finish(timeout)
        finally:
            channel.close()


class _Vault:
    def __init__(self, inner: Any, moments: Moments) -> None:
        self._inner, self._moments = inner, moments

    def put(self, key: str, body: bytes, **how: Any) -> Any:
        self._moments.passes(f"store {key.rpartition('/')[2][-20:]}")
        found = self._inner.put(key, body, **how)
        self._moments.passes(f"stored {key.rpartition('/')[2][-20:]}")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Trial:
    """One site whose backups die. Each has a base to stand on, and one more that goes well after it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._attempt = 0
        self._change()
        self.good = self._take()

    def moments(self) -> list[str]:
        """Return the moments of an incremental backup that goes well."""
        moments = Moments()
        self._change()
        self.good = self._take(moments)
        return moments.names

    def die(self, death: Death) -> str:
        """Let a backup die, and one go well after it; return what became of the first."""
        self._change()
        before = self._sealed()
        try:
            ended = self._in_a_child(death)
        except AssertionError as error:
            raise AssertionError(f"{death}: {error}") from error
        self._insist_on_whole(before, sealed=ended == "sealed")
        self._insist_on_little_left()
        self._change()
        self.good = self._take()
        assert self.good.base, "the next backup does not stand on the last good one"
        assert verify_listing(self.bench.vault, self.good) == ()
        assert self.bench.spools == [], "the next backup did not clean up"
        return ended

    def _take(
        self, moments: Moments | None = None, noted: Callable[[int], None] = lambda _: None
    ) -> Snapshot:
        bench, moments = self.bench, moments or Moments()
        self._attempt += 1
        bench.clock.sleep(60)
        transport = _Transport(LocalTransport(bench.site.here.host), moments, noted)
        # A child's own connections: those of the parent are not for two processes.
        inner = open_vault(bench.settings) if moments.death else bench.vault
        vault: Any = _Vault(inner, moments)
        return bench.take(
            transport=transport, vault=vault, attempt=self._attempt, segment_bytes=_SEGMENT
        )

    def _in_a_child(self, death: Death) -> str:
        note = self.bench.home.parent / "sessions"
        note.write_text("")
        child = os.fork()
        if not child:
            self._be_the_child(death, note)
        self._attempt += 1  # as the child's copy of us does
        self.bench.clock.sleep(60)
        status = _awaited(child)
        _await_the_end_of({int(line) for line in note.read_text().split()})
        if os.WIFSIGNALED(status):
            return "killed"
        return {0: "sealed", 3: "refused", 4: "sealed, nobody died", 5: "refused"}[
            os.WEXITSTATUS(status)
        ]

    def _be_the_child(self, death: Death, note: Path) -> None:
        code = 9
        moments = Moments(death)

        def noted(pid: int) -> None:
            with note.open("a") as file:
                file.write(f"{pid}\n")

        try:
            self._take(moments, noted)
            code = 0 if moments.killed else 4
        except OpsplayError:
            code = 3
        finally:
            os._exit(code)

    def _sealed(self) -> tuple[str, ...]:
        return manifest_keys(self.bench.vault, self.bench.site.name)

    def _insist_on_whole(self, before: tuple[str, ...], *, sealed: bool) -> None:
        now = self._sealed()
        assert now[: len(before)] == before
        assert len(now) - len(before) in ({1} if sealed else {0, 1})
        for key in now[len(before) :]:
            one = load(self.bench.vault, key)
            assert verify_listing(self.bench.vault, one) == (), "half a backup is listed as good"
            assert {stream.trailer_ok for stream in one.streams} <= {True, None}

    def _insist_on_little_left(self) -> None:
        left = [path for path in self.bench.home.rglob("*") if path.is_file()]
        spooled = [path for path in left if ".opsplay/spool" in str(path)]
        assert sum(path.stat().st_size for path in spooled) <= _SPOOL
        assert set(left) - set(spooled) == set(), "something is left outside of the spool"

    def _change(self) -> None:
        """Change code and an image, in two directories: more than all pipes together hold."""
        (self.bench.root / "a").mkdir(exist_ok=True)
        (self.bench.root / "a" / "code.php").write_bytes(os.urandom(150_000).hex().encode())
        (self.bench.root / "photo.jpg").write_bytes(os.urandom(5_000_000))


def _awaited(child: int) -> int:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the backup hangs for ever")


def _await_the_end_of(sessions: set[int]) -> None:
    """Nobody is there to end what a dead controller left running: it has to end by itself."""
    ends = time.monotonic() + _PATIENCE / 2
    while alive := [name for _, name, session in _processes() if session in sessions]:
        if time.monotonic() > ends:
            _end(sessions)
            raise AssertionError(f"still running on the host: {alive}")
        time.sleep(0.02)


def _end(sessions: set[int]) -> None:
    for pid, _, session in _processes():
        if session in sessions:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, str, int]]:
    """Yield pid, name and session of everything that runs; what has ended and waits is left out."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                name, rest = (entry / "stat").read_text().partition("(")[2].rsplit(")", 1)
                if rest.split()[0] not in "ZX":
                    yield int(entry.name), name, int(rest.split()[3])


@contextmanager
def counted(told: Callable[[str], None]) -> Iterator[dict[str, int]]:
    """Count what became of the backups, and tell it at the end."""
    ends: dict[str, int] = {}
    try:
        yield ends
    finally:
        told(", ".join(f"{count} {what}" for what, count in sorted(ends.items())))
