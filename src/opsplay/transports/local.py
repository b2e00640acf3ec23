"""This machine as a host: scripts run as children, each in a session of its own."""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
from pathlib import Path
from typing import IO, cast

from opsplay.core.environment import Host
from opsplay.core.query import Answer
from opsplay.core.transport import Counters
from opsplay.transports.meter import Meter
from opsplay.transports.streams import Deadline, ScriptChannel
from opsplay.transports.wire import encode, pack

_LOGIN = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")
"""What a login would set. The controller's environment may hold secrets, which stay with it."""


class LocalTransport:
    """The contract on this machine, without any network."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._meter = Meter()

    @property
    def counters(self) -> Counters:
        """Return what this transport has cost so far; bytes are those of the streams."""
        return self._meter.counters

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a script to its end. Raises TimeoutError; the script then goes on by itself."""
        channel = self._start(script)
        try:
            return channel.finish_by(Deadline(timeout), stdin)
        finally:
            channel.close()

    def open(self, script: str) -> LocalChannel:
        """Start a script and return the channel to it."""
        return self._start(script)

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def _start(self, script: str) -> LocalChannel:
        packed = pack(script)
        process = subprocess.Popen(
            ["sh", "-c", encode(packed.request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=Path.home(),
            env={name: os.environ[name] for name in _LOGIN if name in os.environ},
            start_new_session=True,
        )
        self._meter.asked()
        self._meter.sent(len(packed.request))
        channel = LocalChannel(process, self._meter)
        channel.send(packed.head)
        return channel


class LocalChannel(ScriptChannel):
    """The pipes of one child process."""

    def __init__(self, process: subprocess.Popen[bytes], meter: Meter) -> None:
        super().__init__()
        self._process = process
        self._meter = meter
        self._stdin, self._stdout, self._stderr = (
            cast("IO[bytes]", pipe) for pipe in (process.stdin, process.stdout, process.stderr)
        )
        os.set_blocking(self._stdin.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)

    def send_eof(self) -> None:
        self._stdin.close()

    def close(self) -> None:
        for stream in (self._stdin, self._stdout, self._stderr):
            stream.close()
        self._selector.close()
        if self._process.poll() is None:
            # Somebody must collect the exit status of a script that outlives its channel.
            threading.Thread(target=self._process.wait, daemon=True).start()

    def _put(self, data: bytes, deadline: Deadline) -> None:
        if not data:
            return
        if self._stdin.closed:
            raise BrokenPipeError("the script's standard input is closed")
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        try:
            self._write(memoryview(data), deadline)
        finally:
            self._selector.unregister(self._stdin)

    def _write(self, rest: memoryview, deadline: Deadline) -> None:
        while rest:
            ready = self._wait(deadline)
            if self._stdin in ready:
                count = os.write(self._stdin.fileno(), rest[:65536])
                self._meter.sent(count)
                rest = rest[count:]
            if self._stdout in ready:
                self._ahead += self._read(self._stdout, 65536)

    def _take(self, size: int, deadline: Deadline) -> bytes:
        while self._open(self._stdout):
            if self._stdout in self._wait(deadline):
                return self._read(self._stdout, size)
        return b""

    def _exit_status(self, deadline: Deadline) -> int:
        while self._open(self._stderr):
            self._wait(deadline)
        try:
            code = self._process.wait(deadline.left())
        except subprocess.TimeoutExpired:
            deadline.check()
            raise
        # As a shell says it: 128 and the signal's number.
        return code if code >= 0 else 128 - code

    def _wait(self, deadline: Deadline) -> set[object]:
        ready: set[object] = {key.fileobj for key, _ in self._selector.select(deadline.left())}
        if not ready:
            deadline.check()
        if self._stderr in ready:
            self._errors.add(self._read(self._stderr, 65536))
        return ready

    def _read(self, stream: IO[bytes], size: int) -> bytes:
        data = os.read(stream.fileno(), size)
        self._meter.received(len(data))
        if not data:
            self._selector.unregister(stream)
        return data

    def _open(self, stream: IO[bytes]) -> bool:
        return not stream.closed and stream in self._selector.get_map()
