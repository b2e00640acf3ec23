"""The transport contract: scripts to a host, answers back. Passed by ssh, local and fake alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from opsplay.core.environment import Host
from opsplay.core.query import Answer


@dataclass
class Counters:
    """What a transport has cost so far. A round trip is one script sent and answered."""

    connects: int = 0
    round_trips: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


class Channel(Protocol):
    """A script under way, with its three streams. Not for several threads at once."""

    def send(self, data: bytes) -> None:
        """Write to the script's standard input. Raises LineCut, or BrokenPipeError if it closed."""
        ...

    def send_eof(self) -> None:
        """Close the script's standard input."""
        ...

    def receive(self, size: int = 65536) -> bytes:
        """Return the next bytes of standard output, b"" at its end. Raises LineCut."""
        ...

    def receive_line(self) -> bytes:
        """Return the next line with its newline, or what is left at the end, b"" after it."""
        ...

    def finish(self, timeout: float | None = None) -> Answer:
        """Wait for the end and return the answer (stdout: what was not received yet).

        Standard error is collected all along, its last 64 KiB kept. Raises LineCut; TimeoutError
        when `timeout` seconds pass first.
        """
        ...

    def close(self) -> None:
        """Let go of the script; it may go on running. Safe to call twice."""
        ...


class Transport(Protocol):
    """One host. `run` and `open` may be called from several threads.

    Scripts are POSIX sh and run under `sh`, without a terminal, in the login directory. Errors:
    `Unreachable` (or `HostKeyRefused`) before anything was sent; `LineCut` when the line broke
    while the script may have been running.
    """

    @property
    def host(self) -> Host:
        """Return where this goes."""
        ...

    @property
    def counters(self) -> Counters:
        """Return what it has cost so far."""
        ...

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a script to its end: one round trip. Raises TimeoutError after `timeout` seconds."""
        ...

    def open(self, script: str) -> Channel:
        """Start a script and return the channel to it: one round trip."""
        ...

    def close(self) -> None:
        """Close the connection; a later call opens it anew. Safe to call twice."""
        ...
