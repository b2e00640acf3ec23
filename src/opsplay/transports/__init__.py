"""Transports carry scripts to hosts and answers back; all of them pass one contract suite.

`ssh`, `local` and `fake` reach a host; `retry`, `dry`, `redact` and `record` wrap a transport and
are transports themselves. Fabric is imported when the first SSH host is contacted, not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from opsplay.core.environment import Host
from opsplay.core.transport import Counters, Transport


def open_transport(host: Host) -> Transport:
    """Return the transport that reaches `host`; nothing is contacted before its first use."""
    if host.local:
        from opsplay.transports.local import LocalTransport

        return LocalTransport(host)
    from opsplay.transports.ssh import SshTransport

    return SshTransport(host)


class Pool:
    """One transport a host, shared by all its sites and by all threads."""

    def __init__(self, opener: Callable[[Host], Transport] = open_transport) -> None:
        self._opener = opener
        self._transports: dict[Host, Transport] = {}
        self._lock = threading.Lock()

    def get(self, host: Host) -> Transport:
        """Return the host's transport, the same one at every call."""
        with self._lock:
            if host not in self._transports:
                self._transports[host] = self._opener(host)
            return self._transports[host]

    @property
    def transports(self) -> tuple[Transport, ...]:
        """Return the transports opened so far."""
        with self._lock:
            return tuple(self._transports.values())

    @property
    def counters(self) -> Counters:
        """Return what all transports have cost together so far."""
        with self._lock:
            costs = [transport.counters for transport in self._transports.values()]
        return Counters(
            connects=sum(cost.connects for cost in costs),
            round_trips=sum(cost.round_trips for cost in costs),
            bytes_sent=sum(cost.bytes_sent for cost in costs),
            bytes_received=sum(cost.bytes_received for cost in costs),
        )

    def close(self) -> None:
        """Close every connection; the next use opens it anew."""
        with self._lock:
            transports = list(self._transports.values())
        for transport in transports:
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
