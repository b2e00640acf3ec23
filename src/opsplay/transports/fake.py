"""A host made of answers, for tests of planners: runs nothing, remembers every script.

It passes the contract suite like the real ones, as far as scripted answers can.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from opsplay.core.environment import Host
from opsplay.core.errors import Unreachable
from opsplay.core.query import Answer
from opsplay.core.transport import Counters
from opsplay.transports.meter import Meter
from opsplay.transports.streams import Deadline, ScriptChannel, line_cut
from opsplay.transports.wire import encode


@dataclass(frozen=True)
class Talk:
    """An answer that depends on what the script is told by standard input."""

    end: Callable[[bytes], Answer] = lambda _stdin: Answer(0)
    """Called with all of standard input once it is closed; its stdout follows the replies."""
    reply: Callable[[bytes], bytes] | None = None
    """Called with each piece sent; what it returns appears on standard output at once."""
    seconds: float = 0.0
    """How long the script takes, as timeouts see it; nobody waits."""


Pattern: TypeAlias = "str | re.Pattern[str] | Callable[[str], bool]"
"""A part of the script, a regular expression found in it, or a question about it."""

Reply: TypeAlias = "str | Answer | Talk | Exception | Callable[[str, bytes], Answer]"
"""A standard output, an answer, a talk, an error to raise, or what makes an answer of script and
standard input."""


class FakeTransport:
    """Answers scripts by the first pattern that fits. Set `unreachable` or `cut` to be so."""

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host("fake")
        self.scripts: list[str] = []
        """Every script that was sent, oldest first."""
        self.unreachable = False
        """Nothing can be sent: calls raise Unreachable."""
        self.cut = False
        """Scripts arrive, answers do not: calls raise LineCut."""
        self.closed = True
        self._known: list[tuple[Pattern, list[Reply]]] = []
        self._meter = Meter()
        self._lock = threading.Lock()

    @property
    def counters(self) -> Counters:
        """Return what this transport has cost so far; bytes are those of the streams."""
        return self._meter.counters

    def on(self, pattern: Pattern, *replies: Reply) -> FakeTransport:
        """Answer scripts that fit `pattern` by `replies` in turn, the last one again and again."""
        self._known.append((pattern, list(replies)))
        return self

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Return the answer. Raises LookupError when no pattern fits the script."""
        return self._start(script).finish_by(Deadline(timeout), stdin)

    def open(self, script: str) -> FakeChannel:
        """Return a channel that gives the answer. Raises LookupError when no pattern fits."""
        return self._start(script)

    def close(self) -> None:
        """Close the connection that is not there."""
        self.closed = True

    def _start(self, script: str) -> FakeChannel:
        with self._lock:
            if self.unreachable:
                raise Unreachable(f"{self.host}: nothing answers", state="nothing was done there")
            if self.closed:
                self._meter.connected()
                self.closed = False
            self.scripts.append(script)
            reply = self._reply_to(script)
        self._meter.asked()
        self._meter.sent(len(encode(script)))
        return FakeChannel(self, _as_talk(reply, script), self._meter)

    def _reply_to(self, script: str) -> Reply:
        for pattern, replies in self._known:
            if _fits(pattern, script):
                return replies.pop(0) if len(replies) > 1 else replies[0]
        raise LookupError(f"the fake host has no answer to this script:\n{script}")


class FakeChannel(ScriptChannel):
    """The streams of a script that is not there."""

    def __init__(self, fake: FakeTransport, talk: Talk, meter: Meter) -> None:
        super().__init__()
        self._fake = fake
        self._talk = talk
        self._meter = meter
        self._heard = b""
        self._said = bytearray()
        self._eof = False
        self._last: Answer | None = None

    def send_eof(self) -> None:
        self._eof = True

    def close(self) -> None:
        self._eof = True

    def _put(self, data: bytes, deadline: Deadline) -> None:
        self._alive(deadline)
        if self._eof and data:
            raise BrokenPipeError("the script's standard input is closed")
        self._meter.sent(len(data))
        self._heard += data
        if self._talk.reply is not None:
            self._said += self._talk.reply(data)

    def _take(self, size: int, deadline: Deadline) -> bytes:
        self._alive(deadline)
        if not self._said:
            self._end()
        part = bytes(self._said[:size])
        del self._said[:size]
        self._meter.received(len(part))
        return part

    def _exit_status(self, deadline: Deadline) -> int:
        self._alive(deadline)
        return self._end().exit_status

    def _end(self) -> Answer:
        if self._last is None:
            self._last = self._talk.end(self._heard)
            self._said += encode(self._last.stdout)
            self._errors.add(encode(self._last.stderr))
            self._meter.received(len(encode(self._last.stderr)))
        return self._last

    def _alive(self, deadline: Deadline) -> None:
        if self._fake.cut:
            raise line_cut(self._fake.host)
        left = deadline.left()
        if left is not None and self._talk.seconds > left:
            raise TimeoutError(f"the script takes {self._talk.seconds:g} s")


def _fits(pattern: Pattern, script: str) -> bool:
    match pattern:
        case str():
            return pattern in script
        case re.Pattern():
            return pattern.search(script) is not None
        case _:
            return pattern(script)


def _as_talk(reply: Reply, script: str) -> Talk:
    match reply:
        case Talk():
            return reply
        case str():
            return Talk(lambda _stdin: Answer(0, reply))
        case Answer():
            return Talk(lambda _stdin: reply)
        case Exception():
            raise reply
        case _:
            return Talk(lambda stdin: reply(script, stdin))
