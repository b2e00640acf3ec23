"""Couriers bring runs to whoever carries them out. Truth is in the journal: one may lose its post."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias

Execute: TypeAlias = Callable[[str], None]
"""Carries out the run of this name to its end, or as far as it comes. Must not raise."""


class Courier(Protocol):
    """Brings the names of runs, and nothing else; each at least once."""

    def submit(self, run: str, site: str, not_before: datetime | None = None) -> None:
        """Ask for a run to be carried out; asked again before it was begun, nothing happens.

        `site`: runs with the same one are brought one after the other; empty for several sites.
        """
        ...

    def queued(self) -> frozenset[str]:
        """Return the runs that were submitted and not brought yet, as far as it still knows them."""
        ...

    def serve(self, execute: Execute) -> None:
        """Call `execute` with run after run, until `stop`."""
        ...

    def stop(self) -> None:
        """Bring no more; `serve` returns once what it brought has been carried out."""
        ...


class Inline:
    """The courier of a single process: `serve` carries out what was submitted, and returns."""

    def __init__(self) -> None:
        self._post: deque[str] = deque()
        self._stopped = False

    def submit(self, run: str, site: str, not_before: datetime | None = None) -> None:
        """Keep a run until `serve`. Who has no server cannot wait: `not_before` is for others."""
        if run not in self._post:
            self._post.append(run)

    def queued(self) -> frozenset[str]:
        return frozenset(self._post)

    def serve(self, execute: Execute) -> None:
        while self._post and not self._stopped:
            execute(self._post.popleft())

    def stop(self) -> None:
        self._stopped = True
