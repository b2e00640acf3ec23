"""What is asked of a host ahead, so that the next script costs one round trip instead of two.

A script without standard input needs a session; the host grants one while the script before is at
work. One with standard input needs more, because OpenSSH opens the window for input only when a
command runs: for it a shell is started ahead, which waits for its script on its standard input.
Each shell runs one script and ends, so that nothing can leak from one script to the next.
"""

from __future__ import annotations

import threading

import paramiko

from opsplay.transports.ssh_line import LineTransport
from opsplay.transports.ssh_session import Session
from opsplay.transports.wire import WAITING

FRESH = 1.0
"""Seconds of silence after which a line must answer before it is given a script."""


class Ahead:
    """Sessions and a waiting shell. Two sessions at most, one where there is a shell."""

    def __init__(self, line: LineTransport) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._asked: list[Session] = []
        self._shell: Session | None = None
        self._wanted = True
        """Whether the host has room for sessions that do nothing yet."""

    def session(self) -> Session | None:
        """Return a session that takes a command, unless none was asked for or the line is quiet.

        Raises SSHException when the line is gone.
        """
        if self._line.watched.silence > FRESH:
            return None
        with self._lock:
            session = self._asked.pop(0) if self._asked else None
        if session is None:
            return None
        try:
            session.wait_until_granted(self._line.channel_timeout)
        except paramiko.ChannelException:
            self._wanted = False
            return None
        return None if session.ended_by_host else session

    def shell(self) -> Session | None:
        """Return a shell that waits for its script, unless there is none or the line is quiet."""
        if self._line.watched.silence > FRESH:
            return None
        with self._lock:
            shell, self._shell = self._shell, None
        return None if shell is None or shell.ended_by_host else shell

    def prepare(self, *, shell: bool) -> None:
        """Ask for what the next script will need; waits for nothing."""
        if not self._wanted:
            return
        try:
            with self._lock:
                self._prepare(shell=shell)
        except (EOFError, OSError, paramiko.SSHException):
            # The script that was just started will tell that the line is gone.
            return

    def _prepare(self, *, shell: bool) -> None:
        if shell and self._shell is None and self._asked and self._asked[0].granted:
            self._shell = self._asked.pop(0)
            self._shell.start(WAITING)
        missing = 2 if shell and self._shell is None else 1
        while len(self._asked) < missing:
            self._asked.append(self._line.ask_for_session())

    def give_back(self) -> None:
        """Close what does nothing yet, and ask for nothing more: the host has no room for it."""
        self._wanted = False
        with self._lock:
            kept = [*self._asked, self._shell]
            self._asked, self._shell = [], None
        for one in kept:
            if one is not None:
                one.close()
