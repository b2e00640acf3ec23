"""Counts what a transport costs, exactly, whichever thread it happens in."""

from __future__ import annotations

import threading

from opsplay.core.transport import Counters


class Meter:
    """The one writer of a transport's counters."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._lock = threading.Lock()

    def connected(self) -> None:
        """Count one connection."""
        with self._lock:
            self.counters.connects += 1

    def asked(self) -> None:
        """Count one round trip: a script sent."""
        with self._lock:
            self.counters.round_trips += 1

    def sent(self, size: int) -> None:
        """Count `size` bytes towards the host."""
        with self._lock:
            self.counters.bytes_sent += size

    def received(self, size: int) -> None:
        """Count `size` bytes from the host."""
        with self._lock:
            self.counters.bytes_received += size
