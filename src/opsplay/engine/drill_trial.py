"""One try of a snapshot: restored in a place, looked at while it comes back, and started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from opsplay.core.action import Page, Visit
from opsplay.core.certificate import Told, told
from opsplay.core.errors import Interrupted, OpsplayError, StepFailed, UnreadableAnswer
from opsplay.core.query import Answer, Query
from opsplay.core.transport import Transport
from opsplay.engine.ask import Question, ask
from opsplay.engine.drill_certificate import Held
from opsplay.engine.drill_place import work_directory
from opsplay.engine.drill_seen import Seen, after_database, after_files, read_sums, read_times
from opsplay.engine.restore import bring_back
from opsplay.engine.restoring import Restoring
from opsplay.engine.tools import Tools
from opsplay.engine.verify_read import Reading, read_through
from opsplay.engine.visit import judge, look
from opsplay.kit.clock import Clock

T = TypeVar("T")

_LOOK_AGAIN = 0.5
_PATIENCE = 60.0
"""Seconds that a site which is in place may take until its first good page."""


class GaveUp(StepFailed):
    """The drill took longer than it may."""


class Patience:
    """Ends a drill that takes too long, or that somebody wants to stop."""

    def __init__(self, tools: Tools, seconds: float) -> None:
        self._stop = tools.stop
        self._clock = tools.clock
        self._ends = tools.clock.monotonic() + seconds
        self._seconds = seconds

    def check(self) -> None:
        """Raise GaveUp when the time is over, Interrupted when somebody wants it to stop."""
        if self._stop.at_once or (self._stop.requested and not self._stop.handing_over):
            raise Interrupted("the drill was stopped on request; nothing of it is left")
        if self._clock.monotonic() > self._ends:
            raise GaveUp(f"the drill was given up after {self._seconds:.0f} s")


@dataclass(frozen=True)
class Trial:
    """The try of a drill that is held."""

    held: Held
    patience: Patience
    seen: Seen

    @property
    def _transport(self) -> Transport:
        return self.held.where.transport

    @property
    def _clock(self) -> Clock:
        return self.held.context.tools.clock

    @property
    def _head(self) -> str:
        return work_directory(self.held.where.site)

    def restore(self) -> None:
        """Bring the snapshot back from the vault alone, noting what came back before it is changed.

        Raises what `bring_back` does, and GaveUp.
        """
        held, tools = self.held, self.held.context.tools
        self._transport.run(f'{self._head}\nrm -rf "$work"')
        work = Restoring(
            held.snapshot, held.where.site, self._transport, held.vault, held.settings,
            tools.clock, tools.trusted(held.settings), self._progress,
        )  # fmt: skip
        try:
            bring_back(
                work,
                switch=self._patiently,
                after=self._after(),
                own_configuration=bool(held.where.fits),
            )
        finally:
            self._read_notes()

    def _after(self) -> Mapping[str, str]:
        where = self.held.where
        fits = f"(\n{where.fits}\n)" if where.fits else ":"
        marks = where.site.cms.watermarks().script
        return {
            "files": f"{self._head}\n{after_files(where.site.here.root)}{fits}",
            "database": f"{self._head}\n{after_database(marks)}",
        }

    def _progress(self, site: str, what: str, done: float, total: float) -> None:
        self.held.context.tools.progress(site, f"drill: {what}", done, total)
        self.patience.check()

    def _patiently(self, script: str) -> Answer:
        channel = self._transport.open(script)
        try:
            while True:
                try:
                    return channel.finish(1.0)
                except TimeoutError:
                    self.patience.check()
        finally:
            channel.close()

    def _read_notes(self) -> None:
        try:
            self.seen.times = read_times(self._note("times"))
            if sums := self._note("files"):
                self.seen.sums = read_sums(sums)
            if marks := self._note("marks").decode("utf-8", "replace"):
                query = self.held.where.site.cms.watermarks()
                self.seen.marks = query.read(Answer(0, marks, ""))
        except (OpsplayError, TimeoutError) as error:
            self.seen.errors["notes"] = str(error)

    def _note(self, name: str) -> bytes:
        channel = self._transport.open(f'{self._head}\ncat "$work/{name}" 2>/dev/null; :')
        try:
            channel.send_eof()
            pieces = []
            while piece := channel.receive():
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            channel.close()

    def damages(self) -> tuple[Told, ...]:
        """Return what is damaged in the vault, object by object: read through after a failure."""
        held = self.held
        clock = self._clock
        reading = Reading(held.vault, held.settings, self._transport, clock, self._progress)
        try:
            found, _ = read_through(reading, held.snapshot)
        except Interrupted:
            raise
        except OpsplayError:
            return ()  # what the restore itself said has to do
        return tuple(told("damage", key=one.key, what=one.what) for one in found)

    def count_what_came(self) -> None:
        """Count the rows of a database that did not come back whole."""
        if self.seen.marks is None and self.seen.sums is not None:
            self.seen.marks = self._asked("marks", self.held.where.site.cms.watermarks())

    def await_answer(self) -> None:
        """Wait until the first page is good, or patience ends."""
        ends = self._clock.monotonic() + _PATIENCE
        while self._complaints(1) and self._clock.monotonic() < ends:
            self.patience.check()
            self._clock.sleep(_LOOK_AGAIN)

    def look_at_all(self) -> None:
        """Look at all pages, ask the CMS what it is, and whether it is a safe copy."""
        self.seen.complaints = self._complaints()
        self.seen.facts = self._asked("facts", self.held.where.site.cms.facts())
        self.seen.safe = self._asked("safe", self.held.where.site.cms.clone_marks())

    def _complaints(self, most: int | None = None) -> tuple[str, ...]:
        site, wish = self.held.where.site, self.held.action
        pages = tuple(
            Page(path, contains=wish.contains if number == 0 else (), max_seconds=_PATIENCE)
            for number, path in enumerate(wish.pages[:most])
        )
        visit = Visit(pages, compare_with="", tls_days=0, error_log=False)
        signs = site.cms.fatal_signs
        self.seen.sights = look(visit, site.here.url, fatal_signs=signs)
        return judge(visit, self.seen.sights, fatal_signs=signs)

    def _asked(self, name: str, query: Query[T]) -> T | None:
        self.patience.check()
        site = self.held.where.site
        question = Question(site.name, site.here.name, site.here.host, query.asked)
        answer = ask([question], lambda _host: self._transport)[question]
        try:
            if isinstance(answer, OpsplayError):
                raise answer
            return query.read(answer)
        except UnreadableAnswer as error:
            self.seen.errors[name] = error.what
            return None
