"""The brackets of a production stage: the door for visitors and the restore point behind it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from opsplay.core.action import Shell
from opsplay.core.errors import StepFailed
from opsplay.core.event import Event
from opsplay.engine.acts import run_shell
from opsplay.engine.context import PASS_HEADER, Context
from opsplay.kit.ids import token

MAINTENANCE = "maintenance"
RESTORE_POINT = "restore point"


@dataclass
class Door:
    """Keeps visitors out of one environment while a stage changes it.

    The pass that lets the smoke test in lives in memory only; after a resume there is a new one.
    """

    context: Context
    environment: str
    stage: str
    touched: bool = False
    """Whether it may be closed: set before anything is sent, so that it is opened in any case."""
    _pass: str = ""
    _closing: tuple[int, float] | None = None
    """Sequence of the event by which this process closed it, and when (monotonic seconds)."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that get through the closed door; none when it is open."""
        return {PASS_HEADER: self._pass} if self._pass else {}

    def close(self) -> Event:
        """Keep visitors out, and believe it when it has been read back."""
        self.touched = True
        began, secret = self.context.tools.clock.monotonic(), token()
        cms = self.context.at(self.environment).cms
        digest = hashlib.sha256(secret.encode()).hexdigest()
        opened = self._bracket(MAINTENANCE, cms.close_to_visitors(digest))
        self._expect(closed=True)
        self._pass = secret
        self._closing = self._closing or (opened.sequence, began)
        return opened

    def save(self) -> None:
        """Save code and database on the host, where a rollback finds them without the CMS."""
        self._bracket(RESTORE_POINT, self.context.at(self.environment).cms.save_restore_point())

    def open(self, closed_since: Event | None, verdict: dict[str, Any]) -> None:
        """Let visitors in again and read it back; the verdict is journalled before."""
        context = self.context
        act = context.write("bracket_closing", bracket=MAINTENANCE, **verdict)
        script = context.at(self.environment).cms.open_to_visitors()
        run_shell(context.job(self.environment, self.stage, act.sequence), Shell(script))
        context.forget(self.environment)
        self._expect(closed=False)
        self._pass, self.touched = "", False
        seconds = self._closed_for(closed_since)
        context.downtime += seconds
        context.write(
            "bracket_closed",
            bracket=MAINTENANCE,
            environment=self.environment,
            seconds=round(seconds, 3),
        )

    def _closed_for(self, since: Event | None) -> float:
        """Return the seconds that visitors were out; by the wall clock only across processes."""
        if since is None:
            return 0.0
        clock = self.context.tools.clock
        if self._closing is not None and self._closing[0] == since.sequence:
            return clock.monotonic() - self._closing[1]
        return max(0.0, (clock.now() - since.at).total_seconds())

    def is_closed(self) -> bool:
        """Return whether the host says that visitors are kept out now."""
        site = self.context.at(self.environment)
        return self.context.ask(self.environment, site.cms.maintenance())

    def _bracket(self, bracket: str, script: str) -> Event:
        context, clock = self.context, self.context.tools.clock
        started = clock.monotonic()
        act = context.write("bracket_opening", bracket=bracket, environment=self.environment)
        run_shell(context.job(self.environment, self.stage, act.sequence), Shell(script))
        context.forget(self.environment)
        seconds = round(clock.monotonic() - started, 3)
        context.write(
            "bracket_opened", bracket=bracket, environment=self.environment, seconds=seconds
        )
        return act

    def _expect(self, *, closed: bool) -> None:
        site = self.context.at(self.environment)
        if self.is_closed() != closed:
            wanted = "closed to" if closed else "open for"
            raise StepFailed(
                f"the site should now be {wanted} visitors, but it says it is not",
                site=site.name,
                next_command=f"look at {site.here.url}",
            )


class LeftClosed(StepFailed):
    """Nobody knows what the site is now: the door stays closed and the lock held, for a resume."""


def left_closed(context: Context, what: str) -> LeftClosed:
    """Return the error for a site that is left closed because of `what`."""
    return LeftClosed(
        what,
        site=context.site.name,
        state="closed to visitors and locked; the restore point and the backup are there",
        next_command=f"invoke resume {context.run}",
    )
