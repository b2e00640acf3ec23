"""A host over SSH: one Fabric connection, kept; scripts on raw paramiko channels.

Not through `Connection.run`, which sends standard input one character per 10 ms and polls every
10 ms (measured: 75 s for 8 KB). A warm script costs two round trips, a cold one about seven.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import paramiko
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from opsplay.core.environment import Host
from opsplay.core.errors import Unreachable
from opsplay.core.query import Answer
from opsplay.core.transport import Counters
from opsplay.kit.clock import Clock, SystemClock
from opsplay.transports.meter import Meter
from opsplay.transports.ssh_channel import SshChannel
from opsplay.transports.ssh_connect import Connected, accept_host_key, connect
from opsplay.transports.streams import Deadline, line_cut
from opsplay.transports.wire import Packed, encode, pack

__all__ = ["SshTransport", "accept_host_key"]

CHANNELS = 7
"""Scripts at once on one connection. sshd's MaxSessions is 10, but channels close late."""
STREAMS = 4
"""Of these, channels that `open` may hold: backups of many sites on one host wait for their turn,
and never keep the short scripts of the others from running."""
_PATIENCE = 60.0
"""Seconds that a script waits for a free channel."""
_BUSY = 5.0
"""Seconds during which a refused channel is asked for again."""
_LOST_RACE = "Unable to open channel."
"""What paramiko says when another thread has taken the reason of the refusal."""


def _nothing() -> None:
    pass


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
        self._line: _Line | None = None

    @property
    def counters(self) -> Counters:
        """Return what this transport has cost so far; bytes are those on the wire."""
        return self._meter.counters

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a script to its end. Raises TimeoutError; the script then goes on by itself."""
        deadline = Deadline(timeout)
        channel = self._start(script, deadline)
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
            return self._start(script, Deadline(_PATIENCE), let_go)
        except BaseException:
            let_go()
            raise

    def close(self) -> None:
        """Close the connection; scripts under way are cut off from us, not ended."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _start(
        self, script: str, deadline: Deadline, let_go: Callable[[], None] = _nothing
    ) -> SshChannel:
        packed = pack(script)
        line = self._live_line()
        channel = line.free_channel(deadline, self._clock)
        if channel is None:
            # The line died unnoticed while nothing was under way: nothing was sent, start afresh.
            line = self._live_line()
            channel = line.free_channel(deadline, self._clock)
        if channel is None:
            raise Unreachable(
                f"{self.host}: the connection broke as soon as it was open",
                state="nothing was done there",
            )
        return self._execute(line, channel, packed, let_go)

    def _execute(
        self,
        line: _Line,
        channel: paramiko.Channel,
        packed: Packed,
        let_go: Callable[[], None],
    ) -> SshChannel:
        def release() -> None:
            line.slots.release()
            let_go()

        started = SshChannel(self.host, channel, release)
        self._meter.asked()
        try:
            line.connected.transport.note(channel)
            channel.exec_command(encode(packed.request))
        except (EOFError, OSError, paramiko.SSHException) as error:
            started.close()
            if not line.active:
                raise line_cut(self.host) from error
            raise Unreachable(
                f"{self.host} refuses to run commands (is the account for SFTP only?)",
                state="nothing was done there",
                next_command="ask the hosting provider for shell access over SSH",
            ) from error
        started.send(packed.head)
        return started

    def _live_line(self) -> _Line:
        with self._lock:
            if self._line is None or not self._line.active:
                if self._line is not None:
                    self._line.close()
                self._line = None
                self._line = _Line(self.host, connect(self.host, self._meter))
            return self._line


class _Line:
    """One open connection, and how many more scripts it takes."""

    def __init__(self, host: Host, connected: Connected) -> None:
        self._host = host
        self.connected = connected
        self.slots = threading.BoundedSemaphore(CHANNELS)
        self.streams = threading.BoundedSemaphore(STREAMS)

    @property
    def active(self) -> bool:
        return self.connected.transport.is_active()

    def close(self) -> None:
        self.connected.close()

    def free_channel(self, deadline: Deadline, clock: Clock) -> paramiko.Channel | None:
        """Return a new channel, or None when the line turns out to be dead."""
        if not self.slots.acquire(timeout=deadline.left()):
            raise TimeoutError(f"{self._host}: {CHANNELS} scripts are under way already")
        try:
            channel = self._open_channel(clock)
        except BaseException:
            self.slots.release()
            raise
        if channel is None:
            self.slots.release()
        return channel

    def _open_channel(self, clock: Clock) -> paramiko.Channel | None:
        attempts = Retrying(
            retry=retry_if_exception(self._refused_for_now),
            stop=stop_after_delay(_BUSY),
            wait=wait_exponential(multiplier=0.02, max=0.5),
            sleep=clock.sleep,
            reraise=True,
        )
        try:
            return attempts(functools.partial(self.connected.transport.open_session))
        except paramiko.ChannelException as error:
            raise Unreachable(
                f"{self._host} opens no more sessions on this connection ({error.text})",
                state="nothing was done there",
                next_command="try again later, or ask the hosting provider about MaxSessions",
            ) from error
        except (EOFError, OSError, paramiko.SSHException):
            # Silent or gone: either way nothing was sent, and this line is of no more use.
            self.close()
            return None

    def _refused_for_now(self, error: BaseException) -> bool:
        refused = isinstance(error, paramiko.ChannelException) or str(error) == _LOST_RACE
        return refused and self.active
