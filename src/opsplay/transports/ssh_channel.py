"""A script under way at the other end of an SSH line."""

from __future__ import annotations

from collections.abc import Callable

import paramiko

from opsplay.core.environment import Host
from opsplay.core.errors import LineCut, Unreachable
from opsplay.transports.ssh_session import Session
from opsplay.transports.streams import Deadline, ScriptChannel, line_cut

_TICK = 0.1
"""Seconds after which a waiting call looks at the other streams; data wakes it at once."""
_PIECE = 65536
_KILLED = 255
"""Exit status of a script that a signal ended, as the ssh command has it."""


class SshChannel(ScriptChannel):
    """The streams of one script, over one session."""

    def __init__(self, host: Host, channel: Session, release: Callable[[], None]) -> None:
        """Take over a session that was given its command; `release` is called once, at the end."""
        super().__init__()
        self._host = host
        self._channel = channel
        self._release: Callable[[], None] | None = release
        channel.settimeout(_TICK)

    def wait_until_started(self, deadline: Deadline) -> None:
        """Return once the host says that it runs the script.

        Raises:
            LineCut: the line broke; the script may be running.
            Unreachable: the host runs no commands.
            TimeoutError: the deadline came first.
        """
        while not self._channel.wait_until_started(_TICK):
            if not self._alive:
                raise self._cut_line()
            deadline.check()
        if self._channel.command_refused or (
            self._channel.ended_by_host and not self._channel.started
        ):
            raise Unreachable(
                f"{self._host} refuses to run commands (is the account for SFTP only?)",
                state="nothing was done there",
                next_command="ask the hosting provider for shell access over SSH",
            )
        if not self._channel.started:
            raise self._cut_line()

    def send_eof(self) -> None:
        try:
            self._channel.shutdown_write()
        except (EOFError, OSError, paramiko.SSHException) as error:
            raise self._cut_line() from error

    def close(self) -> None:
        try:
            self._channel.close()
        except (EOFError, OSError, paramiko.SSHException):
            # The line is gone, and the channel with it: that is what was asked for.
            return
        finally:
            release, self._release = self._release, None
            if release is not None:
                release()

    def _put(self, data: bytes, deadline: Deadline) -> None:
        rest = memoryview(data)
        while rest:
            try:
                count = self._channel.send(rest[:_PIECE].tobytes())
            except TimeoutError:
                deadline.check()
                count = -1
            except (EOFError, OSError, paramiko.SSHException) as error:
                raise self._end_of_input() from error
            if count == 0 or not self._alive:
                raise self._end_of_input()
            rest = rest[max(0, count) :]
            self._drain()

    def _take(self, size: int, deadline: Deadline) -> bytes:
        if not self._channel.started:
            self.wait_until_started(deadline)
        while True:
            self._drain_errors()
            try:
                data = self._channel.recv(size)
            except TimeoutError:
                deadline.check()
                continue
            except (EOFError, OSError, paramiko.SSHException) as error:
                raise self._cut_line() from error
            if not data and not self._ended:
                raise self._cut_line()
            return data

    def _exit_status(self, deadline: Deadline) -> int:
        while not self._channel.status_event.wait(_TICK):
            self._drain_errors()
            deadline.check()
        status: int = self._channel.exit_status
        if status < 0 and not self._channel.ended_by_host:
            raise self._cut_line()
        self._drain_errors()
        return status if status >= 0 else _KILLED

    def _drain(self) -> None:
        while self._channel.recv_ready():
            self._ahead += self._channel.recv(_PIECE)
        self._drain_errors()

    def _drain_errors(self) -> None:
        try:
            while self._channel.recv_stderr_ready():
                self._errors.add(self._channel.recv_stderr(_PIECE))
        except (EOFError, OSError, paramiko.SSHException) as error:
            raise self._cut_line() from error

    @property
    def _alive(self) -> bool:
        line = self._channel.transport
        return line is not None and line.is_active()

    @property
    def _ended(self) -> bool:
        """Whether the end of the output is the script's doing, and not that of a broken line."""
        channel = self._channel
        return bool(channel.eof_received) or channel.exit_status >= 0 or channel.ended_by_host

    def _end_of_input(self) -> Exception:
        if self._alive or self._ended:
            return BrokenPipeError("the script does not read its standard input any more")
        return self._cut_line()

    def _cut_line(self) -> LineCut:
        return line_cut(self._host)
