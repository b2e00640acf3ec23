"""A transport that lets only probes through: a dry run cannot write, whatever the code above does."""

from __future__ import annotations

from hashlib import sha256

from opsplay.core.errors import WouldChange
from opsplay.core.query import Answer
from opsplay.core.transport import Channel, Transport
from opsplay.transports.around import Around


class DryRun(Around):
    """Sends the scripts that were allowed as probes, and raises `WouldChange` for all others."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._allowed: set[bytes] = set()
        """SHA-256 of each: the scripts themselves are long, and there may be thousands of hosts."""

    def allow(self, script: str) -> None:
        """Declare that exactly this script is a probe and changes nothing."""
        self._allowed.add(_digest(script))

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a probe. Raises WouldChange for anything else."""
        self._refuse_unless_probe(script)
        return self._inner.run(script, stdin=stdin, timeout=timeout)

    def open(self, script: str) -> Channel:
        """Start a probe. Raises WouldChange for anything else."""
        self._refuse_unless_probe(script)
        return self._inner.open(script)

    def _refuse_unless_probe(self, script: str) -> None:
        if _digest(script) not in self._allowed:
            first = script.strip().partition("\n")[0][:80]
            raise WouldChange(
                f"a dry run was about to send a script that is not a probe to {self.host}: {first}",
                state="nothing was sent, nothing was changed",
                next_command="report this as a defect of opsplay",
            )


def _digest(script: str) -> bytes:
    return sha256(script.encode("utf-8", "surrogatepass")).digest()
