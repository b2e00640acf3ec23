"""Writes down what was sent and answered, for journals and tests; standard input never."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from opsplay.core.environment import Host
from opsplay.core.query import Answer
from opsplay.core.transport import Channel, Transport
from opsplay.transports.around import Around


@dataclass(frozen=True)
class Exchange:
    """One script and what came of it. What went to its standard input is not here: secrets do."""

    host: Host
    script: str
    seconds: float
    answer: Answer | None = None
    """None when there was none: an error, or a channel closed before its end."""
    error: str = ""


class Record(Around):
    """Tells `listener` of every exchange when it is over; `list.append` will do."""

    def __init__(self, inner: Transport, listener: Callable[[Exchange], object]) -> None:
        super().__init__(inner)
        self._listener = listener

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a script, and tell."""
        telling = _Telling(self.host, script, self._listener)
        return telling.of(lambda: self._inner.run(script, stdin=stdin, timeout=timeout))

    def open(self, script: str) -> Channel:
        """Start a script; told when its channel is finished or closed."""
        telling = _Telling(self.host, script, self._listener)
        try:
            return _RecordedChannel(self._inner.open(script), telling)
        except Exception as error:
            telling.tell(error=error)
            raise


class _Telling:
    def __init__(self, host: Host, script: str, listener: Callable[[Exchange], object]) -> None:
        self._host, self._script, self._listener = host, script, listener
        self._start = time.monotonic()
        self._told = False

    def of(self, act: Callable[[], Answer]) -> Answer:
        try:
            answer = act()
        except Exception as error:
            self.tell(error=error)
            raise
        self.tell(answer)
        return answer

    def tell(self, answer: Answer | None = None, error: Exception | None = None) -> None:
        if self._told:
            return
        self._told = True
        what = f"{type(error).__name__}: {error}" if error else ""
        seconds = time.monotonic() - self._start
        self._listener(Exchange(self._host, self._script, seconds, answer, what))


class _RecordedChannel:
    def __init__(self, inner: Channel, telling: _Telling) -> None:
        self._inner = inner
        self._telling = telling
        self.send = inner.send
        self.send_eof = inner.send_eof
        self.receive = inner.receive
        self.receive_line = inner.receive_line

    def finish(self, timeout: float | None = None) -> Answer:
        return self._telling.of(lambda: self._inner.finish(timeout))

    def close(self) -> None:
        self._inner.close()
        self._telling.tell()
