"""One open SSH connection and its sessions: how many at once, and what is asked for ahead.

A script costs two round trips, one to open a session and one to start it. So the first script of
a connection travels together with the request for its session, and from the second one on what the
next one needs is asked for ahead.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from enum import Enum, auto

import paramiko
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from opsplay.core.environment import Host
from opsplay.core.errors import Unreachable
from opsplay.kit.clock import Clock
from opsplay.transports.ssh_ahead import Ahead
from opsplay.transports.ssh_connect import Connected
from opsplay.transports.ssh_line import LineTransport
from opsplay.transports.ssh_session import Session
from opsplay.transports.streams import Deadline, line_cut
from opsplay.transports.wire import (
    WAITING_LIMIT,
    Packed,
    encode,
    pack,
    pack_for_waiting_shell,
)

CHANNELS = 7
"""Scripts at once on one connection. sshd's MaxSessions is 10, but channels close late."""
STREAMS = 4
"""Of these, channels that `open` may hold: backups of many sites on one host wait for their turn,
and never keep the short scripts of the others from running."""
CROWD = 3
"""Scripts at once up to which a session is asked for ahead; beyond, the host needs its room."""
_BUSY = 5.0
"""Seconds during which a refused session is asked for again."""


class Stdin(Enum):
    """What a script will hear on its standard input."""

    NONE = auto()
    GIVEN = auto()
    """All of it is there and follows at once."""
    STREAM = auto()
    """Whatever the caller will send."""


@dataclass(frozen=True)
class Started:
    """A script on its way."""

    session: Session
    head: bytes
    """What goes to standard input before the caller's own bytes."""


class Line:
    """One open connection, and how many more scripts it takes."""

    def __init__(self, host: Host, connected: Connected, clock: Clock, *, eager: bool) -> None:
        """Take over a connection; `eager`: the first command may travel with its session."""
        self._host = host
        self._clock = clock
        self.connected = connected
        self.slots = threading.BoundedSemaphore(CHANNELS)
        self.streams = threading.BoundedSemaphore(STREAMS)
        self.too_eager = False
        """The host did not like the first command to travel with its session."""
        self._eager = eager and self.transport.is_openssh
        self._lock = threading.Lock()
        self._begun = 0
        self._at_work = 0
        self._ahead = Ahead(self.transport)

    @property
    def transport(self) -> LineTransport:
        """Return the SSH line."""
        return self.connected.transport

    @property
    def active(self) -> bool:
        """Return whether the line lives, as far as is known without asking."""
        return self.transport.is_active() and not self.transport.watched.hung_up

    def close(self) -> None:
        """Close the connection."""
        self.connected.close()

    def start(self, script: str, deadline: Deadline, *, stdin: Stdin) -> Started | None:
        """Start a script; None when the line turns out to be dead and nothing was sent.

        Raises:
            LineCut: the line broke when the script was on its way.
            TimeoutError: no session became free before the deadline.
            Unreachable: the host opens no more sessions.
        """
        if not self.slots.acquire(timeout=deadline.left()):
            raise TimeoutError(f"{self._host}: {CHANNELS} scripts are under way already")
        started = None
        try:
            with self._lock:
                self._at_work += 1
                self._begun += 1
                first = self._begun == 1
            begin = self._at_once if first and self._eager else self._begin
            started = begin(script, stdin)
            if started is not None and not first and self._at_work <= CROWD:
                self._ahead.prepare(shell=stdin is Stdin.GIVEN)
        finally:
            if started is None:
                self.release()
        return started

    def expect(self) -> None:
        """Ask for a session ahead: a script will follow soon."""
        if self._at_work <= CROWD:
            self._ahead.prepare(shell=False)

    def release(self) -> None:
        """Give the place of a script to the next one."""
        with self._lock:
            self._at_work -= 1
        self.slots.release()

    def _at_once(self, script: str, stdin: Stdin) -> Started | None:
        """Start the first script of the line together with its session."""
        packed = pack(script)
        try:
            session = self.transport.ask_for_session()
        except (EOFError, OSError, paramiko.SSHException):
            self.close()
            return None
        started = _given(session, packed, stdin)
        try:
            session.wait_until_granted(self.transport.channel_timeout)
            self.too_eager = session.misdirected
        except (EOFError, OSError, paramiko.SSHException) as error:
            # A host that denies the session, or says goodbye before it grants it, runs nothing.
            self.too_eager = session.denial is not None or self.transport.dismissed
            if not self.too_eager:
                self.close()
                raise line_cut(self._host) from error
        if self.too_eager:
            self.close()
            return None
        return started

    def _begin(self, script: str, stdin: Stdin) -> Started | None:
        """Start a script on a line that was alive a moment ago."""
        if stdin is Stdin.GIVEN and len(script) <= WAITING_LIMIT:
            shell = self._ahead.shell()
            if shell is not None:
                return Started(shell, pack_for_waiting_shell(script))
        packed = pack(script)
        try:
            session = self._ahead.session() or self._open()
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
        return _given(session, packed, stdin)

    def _open(self) -> Session:
        attempts = Retrying(
            retry=retry_if_exception(self._denied_for_now),
            stop=stop_after_delay(_BUSY),
            wait=wait_exponential(multiplier=0.02, max=0.5),
            sleep=self._clock.sleep,
            reraise=True,
        )
        return attempts(functools.partial(self._open_once))

    def _open_once(self) -> Session:
        session = self.transport.ask_for_session()
        session.wait_until_granted(self.transport.channel_timeout)
        return session

    def _denied_for_now(self, error: BaseException) -> bool:
        if not isinstance(error, paramiko.ChannelException):
            return False
        self._ahead.give_back()
        return self.transport.is_active()


def _given(session: Session, packed: Packed, stdin: Stdin) -> Started:
    session.start(encode(packed.request))
    if stdin is Stdin.NONE and not packed.head:
        session.shutdown_write()
    return Started(session, packed.head)
