"""Time, injected: nothing below the engine reads a clock by itself."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the engine needs of time."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass, or fewer when the clock is interrupted."""
        ...


class SystemClock:
    """The machine's own clock; `interrupt` ends every sleep at once."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), tz=UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self._interrupted.wait(seconds)

    def interrupt(self) -> None:
        """End all sleeps, present and future: the run is being stopped."""
        self._interrupted.set()


class FrozenClock:
    """A clock for tests: it moves only when somebody sleeps or sets it."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
