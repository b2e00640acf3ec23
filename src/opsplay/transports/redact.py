"""Hides known secrets in answers, before anybody above can journal or print them."""

from __future__ import annotations

from opsplay.core.query import Answer
from opsplay.core.transport import Channel, Transport
from opsplay.kit.secret import Redactor
from opsplay.transports.around import Around


class Redact(Around):
    """Cleans the texts of every answer. Bytes received over a channel stay as they are: dumps."""

    def __init__(self, inner: Transport, redactor: Redactor) -> None:
        super().__init__(inner)
        self._redactor = redactor

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a script and return its answer, cleaned."""
        return clean(self._inner.run(script, stdin=stdin, timeout=timeout), self._redactor)

    def open(self, script: str) -> Channel:
        """Start a script; the answer that ends its channel is cleaned."""
        return _RedactedChannel(self._inner.open(script), self._redactor)


def clean(answer: Answer, redactor: Redactor) -> Answer:
    """Return the answer with every known secret replaced by dots."""
    stdout, stderr = redactor.clean(answer.stdout), redactor.clean(answer.stderr)
    return Answer(answer.exit_status, stdout, stderr)


class _RedactedChannel:
    def __init__(self, inner: Channel, redactor: Redactor) -> None:
        self._inner = inner
        self._redactor = redactor
        self.send = inner.send
        self.send_eof = inner.send_eof
        self.receive = inner.receive
        self.receive_line = inner.receive_line
        self.close = inner.close

    def finish(self, timeout: float | None = None) -> Answer:
        return clean(self._inner.finish(timeout), self._redactor)
