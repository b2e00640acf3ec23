"""The line to a host that makes a backup: whole lines, refusals, and what went wrong in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from opsplay.core.errors import LineCut, StepFailed, UnreadableAnswer
from opsplay.core.transport import Channel

NOT_SEALED = "no backup was sealed by this attempt"
_PIECE = 1 << 16


@dataclass(frozen=True)
class Line:
    """One conversation with the host's half of a backup."""

    channel: Channel
    site: str

    def say(self, line: bytes, body: bytes = b"") -> None:
        """Send a line, and what follows it. Raises StepFailed when the host has ended."""
        try:
            self.channel.send(line + b"\n" + body)
        except BrokenPipeError:
            self.ended()

    def heard(self) -> bytes:
        """Return the next line. Raises StepFailed when the host gives up or has ended, LineCut."""
        line = self.channel.receive_line()
        if line.startswith(b"ABORT "):
            self.fail(line[6:].decode(errors="replace").strip())
        if not line.endswith(b"\n"):
            self.ended()
        return line

    def exactly(self, size: int) -> bytes:
        """Return the next bytes; fewer only if the host has ended."""
        parts: list[bytes] = []
        while size and (part := self.channel.receive(min(size, _PIECE))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def stop(self) -> None:
        """Tell the host to clean up and end; a line that is gone tells it as well."""
        try:
            self.channel.send(b"STOP\n")
            self.channel.send_eof()
            self.channel.finish(20)
        except (LineCut, BrokenPipeError, TimeoutError):
            return  # the host ends by itself when nobody answers

    def ended(self) -> NoReturn:
        """Say how the host ended when nobody expected it."""
        answer = self.channel.finish(30)
        said = answer.stderr.strip().splitlines()[-3:]
        self.fail(f"the host's side ended early, status {answer.exit_status}: {' '.join(said)}")

    def misheard(self, line: bytes) -> NoReturn:
        """Refuse what does not belong here."""
        raise UnreadableAnswer(
            f"the host said {line[:200]!r} in the middle of a backup",
            site=self.site,
            state=NOT_SEALED,
        )

    def fail(self, what: str) -> NoReturn:
        """Say what went wrong on the host."""
        raise StepFailed(what, site=self.site, state=NOT_SEALED)
