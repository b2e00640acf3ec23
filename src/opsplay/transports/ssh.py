"""A host over SSH: one Fabric connection, kept; scripts on raw paramiko channels.

Not through `Connection.run`, which sends standard input one character per 10 ms and polls every
10 ms (measured: 75 s for 8 KB). A cold script costs five round trips, TCP's included, the second
one two, each further one a single one (see `ssh_ahead`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from opsplay.core.environment import Host
from opsplay.core.errors import Unreachable
from opsplay.core.query import Answer
from opsplay.core.transport import Counters
from opsplay.kit.clock import Clock, SystemClock
from opsplay.transports.meter import Meter
from opsplay.transports.ssh_channel import SshChannel
from opsplay.transports.ssh_connect import accept_host_key, connect
from opsplay.transports.ssh_sessions import Line, Stdin
from opsplay.transports.streams import Deadline

__all__ = ["SshTransport", "accept_host_key"]

_PATIENCE = 60.0
"""Seconds that a script waits for a free channel."""
_LINES = 3
"""How many lines a script is tried on: one that died unnoticed, one whose host did not like to be
given a command at once, and one that must do."""


def _nothing() -> None:
    pass


def _both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def do() -> None:
        one()
        other()

    return do


def _once(act: Callable[[], None]) -> Callable[[], None]:
    """Return `act` so that it is done at the first call only."""
    left = [act]

    def do() -> None:
        while left:
            left.pop()()

    return do


class SshTransport:
    """The contract over SSH. Connects at the first use, and again after a cut."""

    def __init__(self, host: Host, *, clock: Clock | None = None) -> None:
        self.host = host
        self._clock = clock or SystemClock()
        self._meter = Meter()
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._eager = True

    @property
    def counters(self) -> Counters:
        """Return what this transport has cost so far; bytes are those on the wire."""
        return self._meter.counters

    def connect(self) -> None:
        """Open the connection unless it is open. Raises Unreachable, HostKeyRefused."""
        self._live_line()

    def expect(self) -> None:
        """Ask for what the next script needs, if the line is open; waits for nothing."""
        line = self._line
        if line is not None and line.active:
            line.expect()

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a script to its end. Raises TimeoutError; the script then goes on by itself."""
        deadline = Deadline(timeout)
        channel = self._start(script, deadline, stdin=Stdin.GIVEN if stdin else Stdin.NONE)
        try:
            return channel.finish_by(deadline, stdin)
        finally:
            channel.close()

    def open(self, script: str) -> SshChannel:
        """Start a script and return the channel to it; waits while too many others are open."""
        line = self._live_line()
        while not line.streams.acquire(timeout=1.0):
            line = self._live_line()  # those who held the old line's streams are cut off
        let_go = _once(line.streams.release)
        try:
            channel = self._start(script, Deadline(_PATIENCE), let_go)
        except BaseException:
            let_go()
            raise
        try:
            channel.wait_until_started(Deadline(None))
        except BaseException:
            channel.close()
            raise
        return channel

    def close(self) -> None:
        """Close the connection; scripts under way are cut off from us, not ended."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _start(
        self,
        script: str,
        deadline: Deadline,
        let_go: Callable[[], None] = _nothing,
        *,
        stdin: Stdin = Stdin.STREAM,
    ) -> SshChannel:
        for _ in range(_LINES):
            line = self._live_line()
            started = line.start(script, deadline, stdin=stdin)
            if started is not None:
                self._meter.asked()
                channel = SshChannel(self.host, started.session, _both(line.release, let_go))
                channel.send(started.head)
                return channel
            # The line died unnoticed while nothing was under way: nothing was sent, start afresh.
            self._eager = self._eager and not line.too_eager
        raise Unreachable(
            f"{self.host}: the connection broke as soon as it was open",
            state="nothing was done there",
        )

    def _live_line(self) -> Line:
        with self._lock:
            if self._line is None or not self._line.active:
                if self._line is not None:
                    self._line.close()
                self._line = None
                connected = connect(self.host, self._meter)
                self._line = Line(self.host, connected, self._clock, eager=self._eager)
            return self._line
