"""A TCP relay that counts turns, delays, falls silent or resets: the line a test can cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator


class Relay:
    """Forwards connections to a loopback port. Turns are counted over all of them."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        """Seconds each way."""
        self.turns = 0
        """How often the client spoke after the server had spoken: round trips begun."""
        self.connections = 0
        self._speaker = "server"
        self._silent = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._start(self._welcome)

    def fall_silent(self) -> None:
        """Take everything and pass nothing on, as a firewall that drops does."""
        self._silent.set()

    def speak_again(self) -> None:
        """Serve new connections again; the old ones stay lost."""
        self._silent.clear()

    def reset(self) -> None:
        """End all connections with RST."""
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RD)
                one.close()
            self._sockets.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.reset()

    def _welcome(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            with self._lock:
                self._sockets += [client, server]
            lost = threading.Event()
            self._start(self._pump, client, server, "client", lost)
            self._start(self._pump, server, client, "server", lost)

    def _pump(
        self, source: socket.socket, sink: socket.socket, who: str, lost: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._silent.is_set():
                    lost.set()
                if lost.is_set():
                    continue
                with self._lock:
                    self.turns += who == "client" and self._speaker == "server"
                    self._speaker = who
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _start(self, what, *arguments) -> None:
        threading.Thread(target=what, args=arguments, daemon=True).start()


@contextlib.contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()
