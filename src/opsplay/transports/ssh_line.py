"""The SSH line itself: paramiko's transport, tuned, counted and watched.

Measured reasons: without TCP_NODELAY each command costs 40 ms more (Nagle against delayed ACK);
AES-GCM and a window larger than OpenSSH's 2 MiB make bulk data two to three times faster; a DH
group costs 20 to 80 ms of CPU where curve25519 costs 2.
"""

from __future__ import annotations

import errno
import math
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import paramiko
from paramiko.common import cMSG_GLOBAL_REQUEST

from opsplay.transports.meter import Meter
from opsplay.transports.ssh_login import EagerLogin
from opsplay.transports.ssh_session import HANDLERS, Session, ask_for_session, note_denial

QUIET: Final = 4.0
"""Seconds without a byte from the host after which it is asked for a sign of life."""
ANSWER_WITHIN: Final = 9.0
"""Seconds it may take to give one; then the line counts as cut (4 + 9 < 15)."""
WINDOW: Final = 16 * 1024 * 1024
"""Bytes on the way per channel: 1 Gbit/s at 130 ms; more would only fill our memory."""


_TICK = 0.5
"""Seconds after which a reader looks up from a quiet line; paramiko's own 0.1 s is 1000 times a
second over 100 hosts."""


_PIECE = 32_768
"""Bytes that are taken from a socket in one go, a packet's worth of bulk data."""


class WatchedSocket:
    """A socket that counts its bytes and knows when the other end has fallen silent.

    paramiko reads and writes with a timeout, so each silence passes here twice a second, in a
    thread that paramiko has anyway. TCP alone would notice after many minutes, and
    never when a box in the middle acknowledges and drops.
    """

    def __init__(self, inner: Any, meter: Meter, ask: Callable[[], bool]) -> None:
        """Watch `inner`; `ask` sends a request that must be answered, False when it cannot yet."""
        self._inner = inner
        self._meter = meter
        self._ask = ask
        self._heard = self._moved = time.monotonic()
        self._asked: float | None = None
        self._held, self._taken = b"", 0
        self._at_once = _PIECE if isinstance(inner, socket.socket) else 0
        self._shaken_by = math.inf
        self._ending = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def silence(self) -> float:
        """Return the seconds since the other end was last heard."""
        return time.monotonic() - self._heard

    @property
    def hung_up(self) -> bool:
        """Return whether the other end has ended the connection, read so far or not."""
        if not isinstance(self._inner, socket.socket) or self._taken < len(self._held):
            return False
        try:
            asking = select.poll()
            asking.register(self._inner, select.POLLIN)
            return bool(asking.poll(0)) and not self._inner.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False  # the reader was faster
        except (OSError, ValueError):
            return True

    def recv(self, size: int) -> bytes:
        """Return the next bytes. Raises TimeoutError (paramiko's tick) or ConnectionAbortedError."""
        if self._taken == len(self._held):
            if size >= self._at_once:
                return self._receive(size)
            # paramiko asks twice a packet: what has come already is taken in one go.
            self._held, self._taken = self._receive(self._at_once), 0
        begin, self._taken = self._taken, min(len(self._held), self._taken + size)
        return self._held[begin : self._taken]

    def _receive(self, size: int) -> bytes:
        try:
            data: bytes = self._inner.recv(size)
        except TimeoutError:
            self._listen()
            raise
        self._heard, self._asked = time.monotonic(), None
        self._meter.received(len(data))
        return data

    def watch_handshake(self, packetizer: Any) -> None:
        """Keep the time limit of the handshake; paramiko has a thread wait for it, a line each."""
        packetizer.start_handshake = self._shake
        packetizer.handshake_timed_out = lambda: time.monotonic() > self._shaken_by
        packetizer.complete_handshake = lambda: self._shake(math.inf)

    def _shake(self, seconds: float) -> None:
        self._shaken_by = time.monotonic() + seconds

    def send(self, data: bytes) -> int:
        """Send what fits. Raises TimeoutError (paramiko's tick) or ConnectionAbortedError."""
        try:
            count: int = self._inner.send(data)
        except TimeoutError:
            if time.monotonic() - max(self._heard, self._moved) > QUIET + ANSWER_WITHIN:
                self._give_up()
            raise
        self._moved = time.monotonic()
        self._meter.sent(count)
        return count

    def close(self) -> None:
        """Close what is inside. The process of a ProxyCommand is ended and waited for, once."""
        if not isinstance(self._inner, paramiko.ProxyCommand):
            self._inner.close()
        elif self._ending.acquire(blocking=False):
            # paramiko's own close leaves a zombie, and fails when the process has ended already.
            self._inner.process.terminate()
            self._inner.process.communicate()

    def _listen(self) -> None:
        now = time.monotonic()
        if self._asked is not None and now - self._asked > ANSWER_WITHIN:
            self._give_up()
        if self._asked is None and now - self._heard > QUIET:
            self._asked = now
            if not self._ask():
                self._asked = None

    def _give_up(self) -> None:
        # Not ETIMEDOUT: Python makes a TimeoutError of it, which paramiko takes for its tick. And
        # with a number: paramiko's handler dies of an OSError that has none, waking nobody.
        raise ConnectionAbortedError(errno.ECONNABORTED, "the other end has fallen silent")


class LineTransport(paramiko.Transport):
    """paramiko's transport with our preferences, on a watched socket."""

    _active_check_timeout = _TICK
    _channel_handler_table = HANDLERS

    def __init__(
        self,
        sock: Any,
        *,
        meter: Meter,
        known_kinds: Iterable[str] = (),
        disabled_algorithms: Any = None,
    ) -> None:
        """Speak SSH over `sock`; host keys of `known_kinds` are asked for first."""
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.watched = WatchedSocket(sock, meter, self._ask_for_life)
        self.dismissed = False
        """The host has said goodbye: it takes nothing any more, and said all it had to say."""
        super().__init__(
            self.watched,  # type: ignore[arg-type]  # acts as a socket
            default_window_size=WINDOW,
            disabled_algorithms=disabled_algorithms,
        )
        self.watched.watch_handshake(self.packetizer)
        self.channel_timeout = QUIET + ANSWER_WITHIN
        self._prefer(set(known_kinds))

    @property
    def is_openssh(self) -> bool:
        """Return whether the other end says that it is OpenSSH."""
        return str(self.remote_version).startswith("SSH-2.0-OpenSSH")

    def ask_for_session(self) -> Session:
        """Ask for a session and return it at once. Raises SSHException when the line is gone."""
        if not self.is_active():
            raise paramiko.SSHException("the line is gone")
        return ask_for_session(self, WINDOW)

    def auth_publickey(self, username: str, key: paramiko.PKey, event: Any = None) -> list[str]:
        """Log in by a key. Raises AuthenticationException, SSHException."""
        if event is not None or not self.is_openssh:
            return super().auth_publickey(username, key, event)
        done = threading.Event()
        self.auth_handler: Any = EagerLogin(self)
        self.auth_handler.auth_publickey(username, key, done)
        further: list[str] = self.auth_handler.wait_for_response(done)
        return further

    def _parse_channel_open_failure(self, message: paramiko.Message) -> None:
        note_denial(self, message)
        super()._parse_channel_open_failure(message)  # type: ignore[misc]  # not in its stubs

    def _parse_debug(self, _message: paramiko.Message) -> None:
        """Leave unread what the host says to those who debug it: OpenSSH says it at each login."""

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        self.dismissed = True
        super()._parse_disconnect(message)  # type: ignore[misc]  # not in its stubs

    def _prefer(self, known: set[str]) -> None:
        options = self.get_security_options()
        options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
        options.kex = sorted(options.kex, key=_kex_cost)
        options.key_types = sorted(options.key_types, key=lambda name: _kind(name) not in known)

    def _ask_for_life(self) -> bool:
        # Before the login, and while keys are renewed, paramiko has time limits of its own.
        if not (self.is_authenticated() and self.clear_to_send.is_set()):
            return False
        request = paramiko.Message()
        request.add_byte(cMSG_GLOBAL_REQUEST)
        request.add_string("keepalive@openssh.com")
        request.add_boolean(True)  # want a reply; paramiko's keepalive wants none
        send: Any = self._send_user_message  # type: ignore[attr-defined]  # not in its stubs
        send(request)
        return True


def _kind(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _kex_cost(name: str) -> int:
    dear = ("group14", "group-exchange", "group16")
    return next((rank for rank, part in enumerate(dear, 1) if part in name), 0)
