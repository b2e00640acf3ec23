"""A run that somebody cancelled: what was begun is taken back, and nothing more is begun.

The request is a line of the journal, so it may come from another process or machine. The process
that carries the run out looks for it while it works; a resume looks for it before anything else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from opsplay.core.errors import ExitStatus, OpsplayError
from opsplay.core.event import Event, EventKind, State
from opsplay.engine.context import Context
from opsplay.engine.history import history_of
from opsplay.engine.line import SiteResult
from opsplay.engine.plan import PlannedStage
from opsplay.engine.tools import Stop

_EVERY = 1.0
"""Seconds between two looks for a request."""
OPEN_ENDS = frozenset({State.UNKNOWN, State.UNREACHABLE, State.WAITING})
"""States of a site that a cancelled run is not over with: something is half done there."""


def over_with(results: Iterable[SiteResult]) -> bool:
    """Return whether a cancelled run is over: nothing is half done, and something was left out."""
    states = [result.state for result in results]
    left_out = {State.SKIPPED, State.CANCELLED, State.ROLLED_BACK}
    return not OPEN_ENDS.intersection(states) and bool(left_out.intersection(states))


class Requests(Protocol):
    """The part of the journal that requests come from."""

    def events(
        self, run: str = "", *, after: int = 0, kinds: Sequence[EventKind] = ()
    ) -> tuple[Event, ...]:
        """Return the events of a run from sequence `after` + 1 on, of these kinds."""
        ...


def look(journal: Requests, run: str, stop: Stop, after: int = 0) -> int:
    """Hand the newest request since the run last ended to `stop`; return how far was read."""
    request: Event | None = None
    for event in journal.events(run, after=after, kinds=("cancel_requested", "run_finished")):
        after = event.sequence
        request = event if event.kind == "cancel_requested" else None
    if request is not None:
        stop.cancel(str(request.data["user"]), now=bool(request.data["now"]))
    return after


def taken_over(journal: Requests, run: str, epoch: int) -> bool:
    """Return whether another process carries the run out by now."""
    return bool(journal.events(run, after=epoch, kinds=("run_resumed",)))


@contextmanager
def watched(journal: Requests, run: str, stop: Stop, epoch: int) -> Iterator[None]:
    """Look for requests to cancel before the block, and each second while it runs.

    Once another process took the run over, this one stops at once: its streams end, too, which
    neither the journal nor the hosts refuse in their middle.
    """
    seen, over = look(journal, run, stop), threading.Event()

    def watch() -> None:
        after = seen
        while not over.wait(_EVERY):
            try:
                after = look(journal, run, stop, after)
                if taken_over(journal, run, epoch):
                    stop.request()
                    stop.request()
                    return
            except (OpsplayError, TimeoutError):
                return  # whoever writes to the journal or asks the host next meets it, and tells

    thread = threading.Thread(target=watch, name="cancel", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ends_before(context: Context, stage: PlannedStage) -> bool:
    """Return whether the site's run ends before a stage: cancelled, and not in the middle of it."""
    past = context.history.stage(stage.stage.name)
    return bool(context.tools.stop.cancelled_by) and past.state is None and not past.half_done


def closed(context: Context) -> SiteResult:
    """Return how a site ends on which nothing is half done when its run is cancelled."""
    name, by = context.site.name, context.tools.stop.cancelled_by
    history = history_of(context.tools.events(context.run, site=name), name)
    stays = [stage.name for stage in history.stages.values() if stage.stands]
    if not stays:
        detail = f"cancelled by {by}; nothing was changed"
        return SiteResult(name, State.SKIPPED, ExitStatus.INTERRUPTED, detail)
    detail = f"cancelled by {by}; what was done in {', '.join(stays)} stays"
    return SiteResult(name, State.CANCELLED, ExitStatus.INTERRUPTED, detail)
