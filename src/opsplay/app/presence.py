"""This process as the others see it: alive, and at work on these runs."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Self

from opsplay.core.errors import OpsplayError
from opsplay.journal.leases import Holder, Leases
from opsplay.journal.postgres import PostgresStore
from opsplay.journal.rows import Claim
from opsplay.kit.clock import Clock

PATIENCE = 60.0
"""Seconds of silence after which a process is taken for dead."""
_BEATS = 6
"""Signs of life within the patience: a few may be late, or lost."""


class Presence:
    """A context manager: inside it the process is known, and others leave its runs alone."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        name: str = "",
        *,
        patience: float = PATIENCE,
        serves: bool = False,
    ) -> None:
        host, pid = socket.gethostname(), os.getpid()
        self.holder = Holder(
            id=secrets.token_hex(8),
            name=name or f"{'worker' if serves else 'command'}-{host}-{pid}",
            host=host,
            pid=pid,
            patience=timedelta(seconds=patience),
            serves=serves,
        )
        self._store = PostgresStore(url, clock)
        self.leases = Leases(self._store)
        self._runs: set[str] = set()
        self._lock = threading.Lock()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self.leases.enter(self.holder)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()
        # Of who cannot say good-bye the others find out by its silence.
        with suppress(OpsplayError):
            self.leases.leave(self.holder)
        self._store.close()

    def claim(self, run: str, sites: Sequence[str], *, submitted: bool) -> Claim:
        """Return what takes a run's sites, in the transaction that begins or resumes it."""
        with self._lock:
            self._runs.add(run)
        return self.leases.claim(self.holder, run, sites, submitted=submitted)

    def done(self, run: str) -> None:
        """Let go of a run's sites."""
        with self._lock:
            self._runs.discard(run)
        # Otherwise the next sign of life lets go of them.
        with suppress(OpsplayError):
            self.leases.give_back(self.holder, run)

    def _beat(self) -> None:
        pause = self.holder.patience.total_seconds() / _BEATS
        while not self._left.wait(pause):
            with self._lock:
                runs = frozenset(self._runs)
            # Who cannot reach the database is taken for dead, and finds that out by its next write.
            with suppress(OpsplayError):
                self.leases.beat(self.holder, runs)
