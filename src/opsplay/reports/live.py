"""What is shown while a run is under way: finished lines scroll, unfinished work stays below.

On a terminal the live part has one line a site: stage, step, what is being done, how long. In a
pipe there are only finished lines. Both are made from the journal's events.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from opsplay.core.event import Event
from opsplay.kit.wording import counted, size, span
from opsplay.reports.lines import Line, Lines
from opsplay.reports.words import QUIET, STYLES, SYMBOLS, from_to

_BAR = 16
_BREATH = 0.25
"""Seconds between two printings when there are many sites."""


@dataclass(frozen=True)
class Work:
    """What one site is at. Times are of the monotonic clock, in seconds."""

    site: str
    where: str
    since: float
    what: str = ""
    done: float = 0.0
    total: float = 0.0
    """0 when it is not known how much there is to do."""


class LiveView:
    """Listens to a run's events and progress, and shows them on a console as they come.

    A context manager: the live part disappears at its end, and the finished lines stay.
    """

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic = monotonic
        self._lines = Lines()
        self._work: dict[str, Work] = {}
        self._ended = Counter[str]()
        self._held: list[Line] = []
        self._printed = 0.0
        self._lock = threading.RLock()  # a signal may be answered in the middle of a line
        moving = console.is_terminal and not console.is_dumb_terminal and not console.record
        self._live = Live(self, console=console, transient=True, refresh_per_second=4)
        self._moving = moving

    def __enter__(self) -> Self:
        if self._moving:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._print_held()
        with self._lock:
            self._work.clear()
        if self._moving:
            self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the screen alone for a while: somebody is being asked."""
        if self._moving:
            self._live.stop()
        try:
            yield
        finally:
            if self._moving:
                self._live.start()

    def heard(self, event: Event) -> None:
        """Show one event: the journal's listener."""
        self._follow(event)
        with self._lock:
            self._held.extend(self._lines.of(event))
        # Each printing draws the live part anew: thousands of sites must not do so thousands of times.
        if not self._lines.many or self._monotonic() - self._printed >= _BREATH:
            self._print_held()

    def _print_held(self) -> None:
        with self._lock:
            held, self._held = self._held, []
            self._printed = self._monotonic()
        if not held:
            return
        if self._console.is_terminal:
            self._console.print(Group(*map(self._lines.fold, held)))
        else:
            for line in held:
                self._console.print(self._lines.render(line), soft_wrap=True)

    def progress(self, site: str, what: str, done: float, total: float) -> None:
        """Show how far a long work is: the engine's progress callback."""
        with self._lock:
            if site in self._work:
                self._work[site] = replace(self._work[site], what=what, done=done, total=total)

    def say(self, text: str) -> None:
        """Show a line that is not an event, such as the answer to Ctrl-C."""
        self._console.print(Text(text, "bold"), soft_wrap=True)

    def _follow(self, event: Event) -> None:
        site, data = event.site, event.data
        with self._lock:
            match event.kind:
                case "stage_started":
                    self._work[site] = Work(site, str(data.get("stage")), self._monotonic())
                case "step_started":
                    where = f"{data.get('stage')} › {data.get('name') or data.get('kind')}"
                    self._work[site] = Work(site, where, self._monotonic())
                case "intent" if site in self._work:
                    self._at(
                        site, from_to(*(str(data.get(w, "")) for w in ("what", "before", "after")))
                    )
                case "bracket_opening" if site in self._work:
                    self._at(site, f"{data.get('bracket')} …")
                case "rollback_started":
                    self._work[site] = Work(site, "rolling back", self._monotonic())
                case "undo_intent" if site in self._work:
                    self._at(site, str(data.get("what", "")))
                case "site_finished":
                    self._work.pop(site, None)
                    self._ended[str(data.get("state"))] += 1
                case "step_finished" | "stage_finished" | "rollback_finished":
                    self._work.pop(site, None)
                case _:
                    pass

    def _at(self, site: str, what: str) -> None:
        self._work[site] = replace(self._work[site], what=what, done=0.0, total=0.0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            works = sorted(self._work.values(), key=lambda work: work.site)
        room = max(1, console.height - 4)
        shown, hidden = works[:room], works[room:]
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right", style=QUIET)
        table.expand = True
        for work in shown:
            table.add_row(*self._row(work))
        more = [Text(f"… and {counted(len(hidden), 'more site')}", QUIET)] if hidden else []
        many = [self._count()] if self._lines.many else []
        yield Group(table, *more, *many)

    def _count(self) -> Text:
        done = sum(self._ended.values())
        text = Text(f"{done:,} of {self._lines.sites:,} sites", "bold")
        for state, count in sorted(self._ended.items()):
            text.append(f"  {SYMBOLS.get(state, '?')} {count:,} {state}", STYLES.get(state, ""))
        return text

    def _row(self, work: Work) -> Iterator[Text | ProgressBar | Group]:
        yield Text(f"▸ {work.site}")
        yield Text(work.where + (f"  {work.what}" if work.what else ""))
        yield _extent(work)
        yield Text(span(self._monotonic() - work.since))


def _extent(work: Work) -> Text:
    if not work.total:
        return Text(size(work.done) if work.done else "", "cyan")
    part = min(1.0, work.done / work.total)
    full = round(part * _BAR)
    text = Text("━" * full, "green").append("━" * (_BAR - full), QUIET)
    return text.append(f" {part:4.0%}  {size(work.done)} of {size(work.total)}", "cyan")
