"""A TCP relay that counts turns, delays, falls silent or resets: the line a test can cut."""

from __future__ import annotations

import contextlib
import queue
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
        """Seconds each way; as on a real line, what follows does not wait for what is on its way."""
        self.turns = 0
        """How often the client spoke after it had heard something: round trips begun, at most.

        A crowded machine may make it too high, when an answer comes in pieces and is answered in
        between. Nothing makes it too low.
        """
        self.sent = 0
        """Bytes that clients sent."""
        self.connections = 0
        self._client_has_heard = True
        self._silent = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
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
            pumps, self._pumps = self._pumps, []
        for pump in pumps:
            pump.join(5)  # a socket that is being read is not closed yet

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
            pumps = [
                self._start(self._pump, client, server, "client", lost),
                self._start(self._pump, server, client, "server", lost),
            ]
            with self._lock:
                self._pumps += pumps

    def _pump(
        self, source: socket.socket, sink: socket.socket, who: str, lost: threading.Event
    ) -> None:
        pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        giver = self._start(self._give, pieces, sink, who)
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._silent.is_set():
                    lost.set()
                if lost.is_set():
                    continue
                if who == "client":
                    with self._lock:
                        self.turns += self._client_has_heard
                        self._client_has_heard = False
                        self.sent += len(data)
                pieces.put((time.monotonic() + self.delay, data))
        pieces.put((time.monotonic() + self.delay, b""))
        giver.join()

    def _give(
        self, pieces: queue.SimpleQueue[tuple[float, bytes]], sink: socket.socket, who: str
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = pieces.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if who == "server":
                    with self._lock:
                        self._client_has_heard = True
                sink.sendall(data)

    def _start(self, what, *arguments) -> threading.Thread:
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        thread.start()
        return thread


@contextlib.contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()
