"""Ctrl-C and SIGTERM: the first asks to stop after the current act, the second stops at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from opsplay.core.errors import ExitStatus
from opsplay.engine.tools import Stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SOFTLY = "stopping after the current act, so that nothing is left half done; again to stop at once"
_AT_ONCE = "stopping at once; `resume` finds out what the hosts did"


@contextmanager
def stopping(say: Callable[[str], None]) -> Iterator[Stop]:
    """Give the stop that the signals ask for, while the block runs; `say` tells the person."""
    stop = Stop()
    asked = 0

    def hear(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked > 2:  # noqa: PLR2004 - the third time nothing may hold us any more
            os._exit(ExitStatus.INTERRUPTED)
        say(_AT_ONCE if stop.request() else _SOFTLY)

    before = {one: signal.signal(one, hear) for one in _SIGNALS}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
