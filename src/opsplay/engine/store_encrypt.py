"""Encrypt what a host sends in plain, because it has neither age nor PHP with libsodium.

The stream travels over SSH, which nobody reads; here it becomes one age file, cut into segments.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator

_END = b""


class Encryption:
    """One stream of a backup, encrypted while it arrives. Memory: a few segments."""

    def __init__(self, recipients: tuple[str, ...], segment_bytes: int) -> None:
        self._recipients = recipients
        self._size = segment_bytes
        self._plain: queue.Queue[bytes] = queue.Queue(1)
        self._rest = b""
        self._ended = False
        self._sealed = bytearray()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def feed(self, plain: bytes) -> Iterator[bytes]:
        """Take the next bytes; yield the segments that are full by now."""
        self._give(plain)
        yield from self._full()

    def finish(self) -> Iterator[bytes]:
        """Yield what is left, when all has been fed."""
        self._give(_END)
        self._thread.join()
        self._check()
        yield from self._full()
        if self._sealed:
            yield bytes(self._sealed)

    def abandon(self) -> None:
        """Let the thread end, whatever was fed."""
        self._error = self._error or InterruptedError()
        while self._thread.is_alive():
            try:
                self._plain.put(_END, timeout=0.1)
            except queue.Full:
                continue
            self._thread.join(0.1)

    def _give(self, plain: bytes) -> None:
        while True:
            self._check()
            try:
                return self._plain.put(plain, timeout=0.5)
            except queue.Full:
                continue

    def _check(self) -> None:
        if self._error:
            raise self._error

    def _full(self) -> Iterator[bytes]:
        while True:
            with self._lock:
                if len(self._sealed) < self._size:
                    return
                part = bytes(self._sealed[: self._size])
                del self._sealed[: self._size]
            yield part

    def _run(self) -> None:
        import pyrage  # type: ignore[import-untyped]  # ships no types

        try:
            keys = [pyrage.x25519.Recipient.from_str(one) for one in self._recipients]
            pyrage.encrypt_io(self, self, keys)
        except BaseException as error:  # noqa: BLE001  # told to whoever feeds
            self._error = error

    def read(self, size: int = -1) -> bytes:
        """Return plain bytes, as pyrage asks for them; b"" at the end."""
        if not self._rest and not self._ended:
            self._rest = self._plain.get()
            self._ended = self._rest == _END
        part = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(part) :]
        return part

    def write(self, sealed: bytes) -> int:
        """Keep encrypted bytes, as pyrage makes them."""
        with self._lock:
            self._sealed += sealed
        return len(sealed)

    def flush(self) -> None:
        """Do nothing: there is nothing to flush."""


def sums(body: bytes, *, md5: bool) -> tuple[str, str]:
    """Return SHA-256 and, where it is needed, MD5 of a segment, hexadecimal."""
    other = hashlib.md5(body, usedforsecurity=False).hexdigest() if md5 else ""
    return hashlib.sha256(body).hexdigest(), other
