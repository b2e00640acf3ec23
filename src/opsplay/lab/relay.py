"""A TCP relay in front of a service, to make a line slow, or cut it, and to count what passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import Literal, Self

_ON_THE_WAY = 256
"""Pieces (of 64 KiB at most) that a slow line holds in each direction."""


@dataclass
class Traffic:
    """What passed so far. `sent` goes towards the service, `received` comes from it (bytes)."""

    connections: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0
    turns: int = 0
    """How often a client spoke after it had heard something: an upper bound of the round trips.

    What was said at once may arrive in pieces and be answered in between: a crowded machine makes
    the count too high, nothing makes it too low.
    """


@dataclass
class _Client:
    """One end of a connection, as far as turns are concerned."""

    has_heard: bool = True


class Relay:
    """Relays connections from `port` to `target`, both on loopback, in a thread of its own.

    `delay`: seconds that each piece of data is on its way in each direction; like on a real line,
    the next piece does not wait for it. `failing`: how many of the next connections are answered with HTTP 503 and closed.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.delay = 0.0
        self.failing = 0
        self.traffic = Traffic()
        self._open: set[asyncio.StreamWriter] = set()
        self._blocked = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"relay-{port}")
        self._ready = threading.Event()
        self._failure: OSError | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def cut(self, seconds: float, how: Literal["reset", "freeze"] = "reset") -> None:
        """Cut the line now; it works again after `seconds`. Returns at once.

        `reset` breaks open connections and refuses new ones; `freeze` lets nothing through and
        says nothing, as a dead link does, and breaks what was open when the line comes back.
        """
        self._loop.call_soon_threadsafe(self._cut, seconds, how)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._through = asyncio.Event()
        self._through.set()
        try:
            server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        except OSError as problem:
            self._failure = problem
            return
        finally:
            self._ready.set()
        async with server:
            await self._stop.wait()
            server.close()
            self._through.set()
            self._break()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait(others, timeout=5) if others else None

    def _cut(self, seconds: float, how: str) -> None:
        self._through.clear()
        self._blocked = how == "reset"
        if self._blocked:
            self._break()
        self._loop.call_later(seconds, self._mend)

    def _mend(self) -> None:
        self._break()
        self._blocked = False
        self._through.set()

    def _break(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if self._blocked or self.failing:
            self.traffic.refused += 1
            await self._refuse(near, back)
            return
        self.traffic.connections += 1
        try:
            far, forth = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            back.transport.abort()
            return
        self._open |= {back, forth}
        try:
            client = _Client()
            await asyncio.gather(
                self._pass(near, forth, "sent", client), self._pass(far, back, "received", client)
            )
        finally:
            self._open -= {back, forth}
            back.transport.abort()
            forth.transport.abort()

    async def _refuse(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if not self._blocked:
            self.failing -= 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await near.readuntil(b"\r\n\r\n")
                back.write(
                    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                await back.drain()
                back.close()
                return
        back.transport.abort()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str, client: _Client
    ) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ON_THE_WAY)
        await asyncio.gather(
            self._take(source, pieces, way, client), self._give(pieces, sink, way, client)
        )

    async def _take(
        self,
        source: asyncio.StreamReader,
        pieces: asyncio.Queue[tuple[float, bytes]],
        way: str,
        client: _Client,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if way == "sent" and client.has_heard:
                    client.has_heard = False
                    self.traffic.turns += 1
                await pieces.put((self._loop.time() + self.delay, data))
        await pieces.put((self._loop.time() + self.delay, b""))

    async def _give(
        self,
        pieces: asyncio.Queue[tuple[float, bytes]],
        sink: asyncio.StreamWriter,
        way: str,
        client: _Client,
    ) -> None:
        data = b"first"
        with contextlib.suppress(OSError):
            while data:
                due, data = await pieces.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._through.wait()
                client.has_heard = client.has_heard or (way == "received" and bool(data))
                sink.write(data)
                await sink.drain()
                setattr(self.traffic, way, getattr(self.traffic, way) + len(data))
            sink.write_eof()
        while data:  # the sink is broken: the source must not wait for it
            _, data = await pieces.get()
