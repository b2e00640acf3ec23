"""A query: a script that only reads, and how to read its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Asked: TypeAlias = tuple[str, tuple[str, ...]]
"""A script and its words: what makes two queries the same question."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Answer:
    """What a script said. Texts are decoded as UTF-8 with replacement."""

    exit_status: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Return whether the script said it went well (a hint, never a proof)."""
        return self.exit_status == 0


@dataclass(frozen=True)
class Query(Generic[T_co]):
    """A POSIX sh script that MUST change nothing, and the pure function that reads its answer.

    `read` raises `UnreadableAnswer` when the answer proves nothing; it never guesses.

    A query with `words` is one of many that go to a host together: all that share a script are
    answered by one run of it, with the words of each in turn as its arguments. So it costs few
    processes on the host, however many are asked. Such a script calls `answered STATUS` after what
    it says to each, or `answered STATUS TEXT` where one line is all that it says.
    """

    script: str
    read: Callable[[Answer], T_co]
    words: tuple[str, ...] = ()

    @property
    def asked(self) -> Asked:
        """Return what is sent to the host for this query."""
        return (self.script, self.words)


NOTHING: Query[None] = Query("", lambda _answer: None)
"""For steps that need to know nothing; costs no round trip."""
