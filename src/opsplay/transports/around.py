"""What all wrappers share: the host, the costs and the end are those of the transport behind."""

from __future__ import annotations

from opsplay.core.environment import Host
from opsplay.core.transport import Counters, Transport


class Around:
    """A transport around a transport; subclasses say how `run` and `open` differ."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    @property
    def host(self) -> Host:
        """Return the host behind."""
        return self._inner.host

    @property
    def counters(self) -> Counters:
        """Return what the transport behind has cost so far, failed attempts included."""
        return self._inner.counters

    def close(self) -> None:
        """Close the transport behind."""
        self._inner.close()
