"""What is shown of a run where nobody watches: finished lines, one after the other."""

from __future__ import annotations

from collections.abc import Callable

from opsplay.core.event import Event
from opsplay.reports.lines import Lines


class PlainView:
    """Listens to a run's events and prints those worth a line; moves nothing."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._lines = Lines()

    def heard(self, event: Event) -> None:
        """Show one event: the journal's listener."""
        for line in self._lines.of(event):
            self._emit(self._lines.render(line).plain)

    def say(self, text: str) -> None:
        """Show a line that is not an event, such as the answer to Ctrl-C."""
        self._emit(text)
