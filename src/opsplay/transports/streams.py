"""What every channel has in common: lines, the end, the tail of standard error, deadlines."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Final

from opsplay.core.environment import Host
from opsplay.core.errors import LineCut
from opsplay.core.query import Answer

STDERR_KEPT: Final = 64 * 1024
_PIECE: Final = 1 << 20


class Deadline:
    """A moment after which waiting ends; without seconds it never comes."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Return the seconds left, never below 0; None when there is no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def check(self) -> None:
        """Raise TimeoutError when the moment has passed."""
        if self.left() == 0.0:
            raise TimeoutError(f"the script did not end within {self._seconds:g} s")


class Tail:
    """The last bytes of a stream."""

    def __init__(self, size: int = STDERR_KEPT) -> None:
        self._size = size
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        self._bytes += data
        del self._bytes[: -self._size]

    def text(self) -> str:
        """Return what is kept, as UTF-8 with replacement."""
        return self._bytes.decode("utf-8", "replace")


class ScriptChannel(ABC):
    """The streams of one script. Subclasses move bytes; what is the same everywhere is here.

    While a caller waits, in whichever method, the other streams are drained too: a script that
    talks on all of them never blocks for ever.
    """

    def __init__(self) -> None:
        self._ahead = bytearray()
        self._errors = Tail()
        self._answer: Answer | None = None

    @abstractmethod
    def _put(self, data: bytes, deadline: Deadline) -> None:
        """Write all of `data`. Raises BrokenPipeError, LineCut, TimeoutError."""

    @abstractmethod
    def _take(self, size: int, deadline: Deadline) -> bytes:
        """Return the next bytes of standard output, b"" at its end. Raises as `_put`."""

    @abstractmethod
    def _exit_status(self, deadline: Deadline) -> int:
        """Drain standard error to its end and return the exit status. Raises as `_put`."""

    @abstractmethod
    def send_eof(self) -> None:
        """Close the script's standard input."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the script; it may go on running. Safe to call twice."""

    def send(self, data: bytes) -> None:
        """Write to the script's standard input. Raises LineCut, or BrokenPipeError if it closed."""
        self._put(data, Deadline(None))

    def receive(self, size: int = 65536) -> bytes:
        """Return the next bytes of standard output, b"" at its end. Raises LineCut."""
        return self._cut(size) if self._ahead else self._take(size, Deadline(None))

    def receive_line(self) -> bytes:
        """Return the next line with its newline, or what is left at the end, b"" after it."""
        searched = 0
        while (end := self._ahead.find(b"\n", searched)) < 0:
            searched = len(self._ahead)
            piece = self._take(65536, Deadline(None))
            if not piece:
                return self._cut(searched)
            self._ahead += piece
        return self._cut(end + 1)

    def finish(self, timeout: float | None = None) -> Answer:
        """Wait for the end and return the answer; after a TimeoutError it may be called again."""
        return self.finish_by(Deadline(timeout))

    def finish_by(self, deadline: Deadline, stdin: bytes = b"") -> Answer:
        """Write the last of standard input, close it, and wait for the end until `deadline`."""
        if self._answer is None:
            self._put_willingly(stdin, deadline)
            self.send_eof()
            while piece := self._take(_PIECE, deadline):
                self._ahead += piece
            status = self._exit_status(deadline)
            text = self._cut(len(self._ahead)).decode("utf-8", "replace")
            self._answer = Answer(status, text, self._errors.text())
            self.close()
        return self._answer

    def _put_willingly(self, data: bytes, deadline: Deadline) -> None:
        try:
            self._put(data, deadline)
        except BrokenPipeError:
            # A script need not read its input; its exit status says what came of it.
            return

    def _cut(self, size: int) -> bytes:
        part = bytes(self._ahead[:size])
        del self._ahead[:size]
        return part


def line_cut(host: Host) -> LineCut:
    """Return the error for a line that broke while a script may have been running."""
    return LineCut(
        f"the line to {host} was cut while a script was under way",
        state="not known: the script may have run to its end, or may still be running",
        next_command="invoke resume",
    )
