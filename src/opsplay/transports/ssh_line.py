"""The SSH line itself: paramiko's transport, tuned, counted and watched.

Measured reasons: without TCP_NODELAY each command costs 40 ms more (Nagle against delayed ACK);
AES-GCM and a window larger than OpenSSH's 2 MiB make bulk data two to three times faster; a DH
group costs 20 to 80 ms of CPU where curve25519 costs 2.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

import paramiko
from paramiko.common import cMSG_GLOBAL_REQUEST

from opsplay.transports.meter import Meter

QUIET: Final = 4.0
"""Seconds without a byte from the host after which it is asked for a sign of life."""
ANSWER_WITHIN: Final = 9.0
"""Seconds it may take to give one; then the line counts as cut (4 + 9 < 15)."""
WINDOW: Final = 16 * 1024 * 1024
"""Bytes on the way per channel: 1 Gbit/s at 130 ms; more would only fill our memory."""


class WatchedSocket:
    """A socket that counts its bytes and knows when the other end has fallen silent.

    paramiko reads and writes with a timeout of 0.1 s, so each silence passes here ten times a
    second, in a thread that paramiko has anyway. TCP alone would notice after many minutes, and
    never when a box in the middle acknowledges and drops.
    """

    def __init__(self, inner: Any, meter: Meter, ask: Callable[[], bool]) -> None:
        """Watch `inner`; `ask` sends a request that must be answered, False when it cannot yet."""
        self._inner = inner
        self._meter = meter
        self._ask = ask
        self._heard = self._moved = time.monotonic()
        self._asked: float | None = None
        self._ending = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def recv(self, size: int) -> bytes:
        """Return the next bytes. Raises TimeoutError (paramiko's tick) or ConnectionAbortedError."""
        try:
            data: bytes = self._inner.recv(size)
        except TimeoutError:
            self._listen()
            raise
        self._heard, self._asked = time.monotonic(), None
        self._meter.received(len(data))
        return data

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
        self._scripts: weakref.WeakSet[paramiko.Channel] = weakref.WeakSet()
        super().__init__(
            WatchedSocket(sock, meter, self._ask_for_life),  # type: ignore[arg-type]  # acts as one
            default_window_size=WINDOW,
            disabled_algorithms=disabled_algorithms,
        )
        self.channel_timeout = QUIET + ANSWER_WITHIN
        self._prefer(set(known_kinds))

    def note(self, channel: paramiko.Channel) -> None:
        """Remember a channel on which an exec request is about to wait for its reply."""
        self._scripts.add(channel)

    def run(self) -> None:
        """Serve the line until it ends, then wake whoever waits for it."""
        super().run()
        # A request sent in the instant of the end would wait for ever: paramiko clears the
        # channel's event after it has looked whether the channel is open.
        threading.Event().wait(0.2)
        for channel in list(self._scripts):
            channel.event.set()

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
