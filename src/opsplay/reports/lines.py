"""One line for each event worth a line: what scrolls by on a terminal, in a pipe and in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from opsplay.core.errors import ExitStatus
from opsplay.core.event import Event, State
from opsplay.kit.wording import counted, span
from opsplay.reports.approvals import answer_text, items, minute
from opsplay.reports.drills import measured, reasons, verdict
from opsplay.reports.fleet import MANY
from opsplay.reports.ink import Ink
from opsplay.reports.story import only_looks
from opsplay.reports.words import (
    QUIET,
    STATE_WIDTH,
    first_line,
    from_to,
    last_lines,
    state_ink,
    widest,
)

if TYPE_CHECKING:
    from rich.table import Table

_SLOW = 1.0
_SHORT = 90


@dataclass(frozen=True)
class Line:
    """One line: when, which site (empty: the run), how it stands, what, and lines below it."""

    at: datetime
    site: str
    state: str
    text: str
    below: tuple[str, ...] = ()
    heading: bool = False


class Lines:
    """Turns events, in order, into lines; remembers what results refer back to."""

    def __init__(self) -> None:
        self._intents: dict[int, Mapping[str, Any]] = {}
        self._undos: dict[str, str] = {}
        self._done: dict[str, int] = {}
        self.width = 0
        """Of the longest site name known."""
        self.sites = 0
        """Planned in this attempt at the run."""

    @property
    def many(self) -> bool:
        """Return whether there are so many sites that each has one line, when it ends."""
        return self.sites > MANY

    def of(self, event: Event) -> tuple[Line, ...]:
        """Return the lines for one event; most events need none."""
        self.width = max(self.width, len(event.site))
        if event.kind == "planned":
            self.sites += 1
        writer = (_OF_MANY if self.many and event.site else _WRITERS).get(event.kind)
        return tuple(writer(self, event)) if writer else ()

    def fold(self, line: Line) -> Table:
        """Return the line for a window: what does not fit goes on below its text."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        style = "bold" if line.heading else ""
        table.add_row(self._head(line), Text("\n".join((line.text, *line.below)), style))
        return table

    def render(self, line: Line) -> Ink:
        """Return the line as one line: time, site, state, text; what is below it indented."""
        text = self._head(line).append(line.text, "bold" if line.heading else "")
        for more in line.below:
            text.append(f"\n{'':10}{more}", QUIET)
        return text

    def _head(self, line: Line) -> Ink:
        text = Ink(f"{line.at:%H:%M:%S}  ", QUIET)
        text.append(line.site.ljust(self.width) + "  ", "bold")
        if line.state:
            text.append(state_ink(line.state)).append("  ")
        else:
            text.append(f"{'' if line.heading else '·':{STATE_WIDTH + 2}}", QUIET)
        return text

    def run_started(self, event: Event) -> Iterator[Line]:
        sites = [str(site) for site in event.data.get("sites", ())]
        self.width = widest(sites, self.width)
        about = f"run {event.run}: {event.data.get('playbook', '')}, {counted(len(sites), 'site')}"
        yield _line(event, about)

    def run_resumed(self, event: Event) -> Iterator[Line]:
        yield _line(event, f"run {event.run} goes on")

    def stage_started(self, event: Event) -> Iterator[Line]:
        title = f"{event.data.get('stage')} (on {event.data.get('environment')})"
        yield Line(event.at, event.site, "", title, heading=True)

    def bracket_opened(self, event: Event) -> Iterator[Line]:
        if event.data.get("bracket") == "maintenance":
            yield _line(event, "closed to visitors")
        else:
            yield _line(event, f"{event.data.get('bracket')} ready{_took(event)}")

    def bracket_closed(self, event: Event) -> Iterator[Line]:
        if event.data.get("bracket") == "maintenance":
            kept_out = span(float(event.data.get("seconds") or 0))
            yield _line(event, f"open to visitors again, after {kept_out}")

    def intent(self, event: Event) -> Iterator[Line]:
        self._intents[event.sequence] = event.data
        yield from ()

    def result(self, event: Event) -> Iterator[Line]:
        intent = self._intents.pop(int(event.data.get("intent") or 0), {})
        change = from_to(
            str(intent.get("what", "")), str(intent.get("before", "")), str(intent.get("after", ""))
        )
        if event.data.get("outcome") == "done":
            if not only_looks(intent):
                told = _short(event)
                news = told if told != f": {intent.get('what')} {intent.get('after')}" else ""
                yield _line(event, change + news + _took(event), "", _damage(event))
        else:
            # Its output follows with the step, and in full at the end of the run.
            state = State.FAILED if event.data.get("outcome") == "failed" else State.UNKNOWN
            yield _line(event, change, state)

    def retry(self, event: Event) -> Iterator[Line]:
        wait = span(float(event.data.get("wait_seconds") or 0))
        error = first_line(str(event.data.get("error", "")))
        yield _line(event, f"again in {wait} (attempt {event.data.get('attempt')} failed: {error})")

    def alarm(self, event: Event) -> Iterator[Line]:
        yield _line(event, f"WARNING: {event.data['told']}")

    def step_finished(self, event: Event) -> Iterator[Line]:
        data = event.data
        title = f"{data.get('stage')} › {data.get('name') or data.get('kind')}"
        state = str(data.get("state", State.UNKNOWN))
        # What a step changed was told act by act.
        # What it waits for is told when the site is left.
        text = title if state in {State.CHANGED, State.WAITING} else _with_detail(title, event)
        yield _line(event, text + _took(event), state)

    def approval_asked(self, event: Event) -> Iterator[Line]:
        until = minute(str(event.data.get("expires", "")))
        below = tuple(items(event.data.get("what", ())))
        yield _line(event, f"asks {event.data.get('by')} to agree until {until} to", "", below)

    def answered(self, event: Event) -> Iterator[Line]:
        yield _line(event, answer_text(event))

    def drill_measured(self, event: Event) -> Iterator[Line]:
        yield _line(event, f"drill of {event.data['snapshot']}: {measured(event.data)}")

    def drill_verdict(self, event: Event) -> Iterator[Line]:
        yield _line(event, verdict(event.data), "", reasons(event.data))

    def rollback_started(self, event: Event) -> Iterator[Line]:
        yield _line(event, f"rolling back: {first_line(str(event.data.get('reason', '')))}")

    def undo_intent(self, event: Event) -> Iterator[Line]:
        self._undos[event.site] = str(event.data.get("what", ""))
        yield from ()

    def undo_result(self, event: Event) -> Iterator[Line]:
        what = self._undos.pop(event.site, "")
        if event.data.get("outcome") == "done":
            yield _line(event, f"taken back: {what}{_took(event)}")
        else:
            detail = last_lines(str(event.data.get("detail") or ""))
            yield _line(event, f"not taken back: {what}", State.FAILED, detail)

    def rollback_finished(self, event: Event) -> Iterator[Line]:
        yield _line(event, _with_detail("rollback", event), str(event.data.get("state", "")))

    def site_finished(self, event: Event) -> Iterator[Line]:
        downtime = float(event.data.get("downtime_seconds") or 0)
        kept_out = f"; visitors were kept out for {span(downtime)}" if downtime else ""
        state = str(event.data.get("state", ""))
        if state == State.WAITING:
            told = str(event.data.get("detail") or "").partition("\n")[0]
            yield _line(event, f"left waiting: {told}", state)
            return
        unchanged = ": unchanged" if state == State.OK and not event.data.get("detail") else ""
        yield _line(event, _with_detail("site done", event) + unchanged + kept_out, state)

    def remember(self, event: Event) -> Iterator[Line]:
        """Remember what was done to a site: with many sites it is told at the site's end."""
        if event.data.get("outcome") == "done" and "facts" in event.data:
            self._done[event.site] = self._done.get(event.site, 0) + 1
        yield from ()

    def site_of_many(self, event: Event) -> Iterator[Line]:
        state, done = str(event.data.get("state", "")), self._done.pop(event.site, 0)
        if state == State.SKIPPED:
            return  # told by the line that stopped, and counted at the end
        downtime = float(event.data.get("downtime_seconds") or 0)
        kept_out = f"; visitors were kept out for {span(downtime)}" if downtime else ""
        told = first_line(str(event.data.get("detail") or ""))
        calm = "unchanged" if state == State.OK else counted(done, "act")
        yield _line(event, (told or calm) + kept_out, state)

    def line_stopped(self, event: Event) -> Iterator[Line]:
        yield _line(event, f"{event.data.get('reason')}; the sites behind are not touched")

    def run_finished(self, event: Event) -> Iterator[Line]:
        status = int(event.data.get("exit_status", 1))
        told = meaning(status, str(event.data.get("state", "")))
        yield _line(event, f"run {event.run}: {told} (exit status {status})")


def meaning(status: int, state: str = "") -> str:
    """Return an exit status in words; `state` tells work done from nothing to do."""
    if status == ExitStatus.DONE and state in {State.OK, State.CHANGED}:
        return "done" if state == State.CHANGED else "nothing to do"
    known = {one.value for one in ExitStatus}
    return ExitStatus(status).meaning if status in known else "ended in an unknown way"


def _line(event: Event, text: str, state: str = "", below: tuple[str, ...] = ()) -> Line:
    return Line(event.at, event.site, state, text, below)


def _took(event: Event) -> str:
    seconds = float(event.data.get("seconds") or 0)
    return f" ({span(seconds)})" if seconds >= _SLOW else ""


def _damage(event: Event) -> tuple[str, ...]:
    """Return why a backup looks as if its site were damaged."""
    suspect = (event.data.get("facts") or {}).get("suspect") or ()
    return tuple(f"WARNING: the site looks damaged: {reason}" for reason in suspect)


def _short(event: Event) -> str:
    # What a host's tool printed is kept for the logs; one short line of our own is worth a place.
    detail = str(event.data.get("detail") or "").strip()
    return f": {detail}" if detail and "\n" not in detail and len(detail) <= _SHORT else ""


def _with_detail(text: str, event: Event) -> str:
    told = first_line(str(event.data.get("detail") or ""))
    return f"{text}: {told}" if told else text


_Writer: TypeAlias = Callable[[Lines, Event], Iterator[Line]]
_OF_MANY: dict[str, _Writer] = {
    "result": Lines.remember,
    "site_finished": Lines.site_of_many,
    "alarm": Lines.alarm,
}
_WRITERS: dict[str, _Writer] = {
    "run_started": Lines.run_started,
    "run_resumed": Lines.run_resumed,
    "stage_started": Lines.stage_started,
    "bracket_opened": Lines.bracket_opened,
    "bracket_closed": Lines.bracket_closed,
    "intent": Lines.intent,
    "result": Lines.result,
    "retry": Lines.retry,
    "alarm": Lines.alarm,
    "step_finished": Lines.step_finished,
    "approval_asked": Lines.approval_asked,
    "approved": Lines.answered,
    "refused": Lines.answered,
    "drill_measured": Lines.drill_measured,
    "drill_verdict": Lines.drill_verdict,
    "rollback_started": Lines.rollback_started,
    "undo_intent": Lines.undo_intent,
    "undo_result": Lines.undo_result,
    "rollback_finished": Lines.rollback_finished,
    "site_finished": Lines.site_finished,
    "line_stopped": Lines.line_stopped,
    "run_finished": Lines.run_finished,
}
