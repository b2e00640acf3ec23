"""A slow line in front of the hosts: `python -m tests.bench.relay PORT RTT FROM=TO …`.

Every connection to FROM goes on to TO, and each byte is half a round trip under way, in order. The
handshake of TCP is slow too: what the far side says first arrives after two round trips, as it
would over a real line (SYN, SYN and ACK, ACK, first data). The line itself has no limit of speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import sys
from collections import deque


class Way:
    """One direction of a connection: what is read is written half a round trip later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, half: float) -> None:
        self._loop = loop
        self._half = half
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._to: asyncio.WriteTransport | None = None
        self._due: asyncio.TimerHandle | None = None

    def opens(self, to: asyncio.WriteTransport) -> None:
        """Say where it all goes; what came before has waited."""
        self._to = to
        self._deliver()

    def take(self, data: bytes) -> None:
        """Take what was read; nothing (`b""`) is the end."""
        self._under_way.append((self._loop.time() + self._half, data))
        if self._due is None and self._to is not None:
            self._wait()

    def _wait(self) -> None:
        self._due = self._loop.call_at(self._under_way[0][0], self._deliver)

    def _deliver(self) -> None:
        self._due = None
        now = self._loop.time()
        while self._under_way and self._under_way[0][0] <= now:
            _, data = self._under_way.popleft()
            self._pass(data)
        if self._under_way:
            self._wait()

    def _pass(self, data: bytes) -> None:
        if self._to is None or self._to.is_closing():
            return
        if data:
            self._to.write(data)
        else:
            with contextlib.suppress(OSError):
                self._to.write_eof()


class End(asyncio.Protocol):
    """One end of a connection: what it says goes one way, and it ends with the other one."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send at once what is to be sent: the delay is ours."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Put it on its way."""
        self._way.take(data)

    def eof_received(self) -> bool:
        """Put the end on its way, and go on listening to the other side."""
        self._way.take(b"")
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Let the other end go as well, once what is under way has had time to arrive."""
        self._over = True
        other = self.other
        if other is not None and other.transport is not None and not other._over:
            asyncio.get_running_loop().call_later(1.0, other.transport.close)


class Near(End):
    """The end towards the tool; the far end is opened one and a half round trips later."""

    def __init__(self, rtt: float, target: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(Way(loop, rtt / 2))
        self._rtt, self._target, self._loop = rtt, target, loop
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the slow handshake."""
        super().connection_made(transport)
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        await asyncio.sleep(1.5 * self._rtt)
        back = Way(self._loop, self._rtt / 2)
        try:
            there, far = await self._loop.create_connection(lambda: End(back), *self._target)
        except OSError:
            assert self.transport is not None
            self.transport.abort()
            return
        assert self.transport is not None
        self.other, far.other = far, self
        back.opens(self.transport)
        self._way.opens(there)


async def serve(port: int, rtt: float, pairs: dict[str, str]) -> None:
    """Relay until the process is ended; `rtt` in seconds."""
    loop = asyncio.get_running_loop()
    for address, target in pairs.items():
        await loop.create_server(
            lambda target=target: Near(rtt, (target, port)), address, port, backlog=200
        )
    print("ready", flush=True)
    await asyncio.Event().wait()


def main(words: list[str]) -> None:
    """Run the relay."""
    port, rtt = int(words[0]), float(words[1])
    pairs = dict(word.split("=") for word in words[2:])
    # select() waits by the microsecond, epoll by the millisecond: that would be 5 % of 20 ms.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve(port, rtt, pairs))


if __name__ == "__main__":
    main(sys.argv[1:])
