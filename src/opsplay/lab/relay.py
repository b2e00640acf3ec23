"""A TCP relay in front of a service, to make a line slow, or cut it, and to count what passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import Literal, Self


@dataclass
class Traffic:
    """What passed so far. `sent` goes towards the service, `received` comes from it (bytes)."""

    connections: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0


class Relay:
    """Relays connections from `port` to `target`, both on loopback, in a thread of its own.

    `delay`: seconds that each piece of data is held in each direction. `failing`: how many of the
    next connections are answered with HTTP 503 and closed.
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
            await asyncio.gather(self._pass(near, forth, "sent"), self._pass(far, back, "received"))
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
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._through.wait()
                sink.write(data)
                await sink.drain()
                setattr(self.traffic, way, getattr(self.traffic, way) + len(data))
            sink.write_eof()
