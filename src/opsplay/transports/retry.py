"""Tries again what may be tried again, and says so each time. tenacity does the counting.

Before anything was sent (`Unreachable`) a call may always be repeated. After `LineCut` the host
may have run the script already, so only scripts declared safe are repeated. A refused host key or
login is a matter for a person, never for a second attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.stop import stop_after_attempt, stop_base, stop_before_delay
from tenacity.wait import wait_base, wait_exponential_jitter

from opsplay.core.errors import HostKeyRefused, LineCut, LoginRefused, OpsplayError, Unreachable
from opsplay.core.query import Answer
from opsplay.core.transport import Channel, Transport
from opsplay.kit.clock import Clock, SystemClock
from opsplay.transports.around import Around

T = TypeVar("T")

OnRetry = Callable[[OpsplayError, int, float], None]
"""(error, number of the attempt that failed, seconds until the next one), told before waiting."""

FOUR_TIMES_WITHIN_A_MINUTE: stop_base = stop_after_attempt(4) | stop_before_delay(60)
"""For a host that has not been heard: it may be gone, or its name may be wrong."""
A_MINUTE: stop_base = stop_after_attempt(20) | stop_before_delay(60)
"""For a host that has been heard: something may be half done there, and lines come back."""
DOUBLING_FROM_HALF_A_SECOND: wait_base = wait_exponential_jitter(multiplier=0.5, max=5, jitter=0.5)


def never(_script: str) -> bool:
    """Return that no script is safe to run twice."""
    return False


class Retry(Around):
    """A transport that repeats failed calls within limits."""

    def __init__(
        self,
        inner: Transport,
        on_retry: OnRetry,
        *,
        safe: Callable[[str], bool] = never,
        stop: stop_base | None = None,
        wait: wait_base = DOUBLING_FROM_HALF_A_SECOND,
        clock: Clock | None = None,
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wrap `inner`; `safe` says which scripts may run twice after a cut line.

        `stop` replaces the two limits above. Once `hurried`, nothing is tried again.
        """
        super().__init__(inner)
        self._on_retry = on_retry
        self._safe = safe
        self._stop = stop
        self._wait = wait
        self._clock = clock or SystemClock()
        self._hurried = hurried
        self._heard = False

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        """Run a script; `timeout` is that of each attempt."""
        return self._try(script, lambda: self._inner.run(script, stdin=stdin, timeout=timeout))

    def open(self, script: str) -> Channel:
        """Start a script; what is later lost on its channel is not repeated."""
        return self._try(script, lambda: self._inner.open(script))

    def _try(self, script: str, call: Callable[[], T]) -> T:
        attempts = Retrying(
            retry=retry_if_exception(lambda error: self._repeatable(error, script)),
            stop=self._enough,
            wait=self._wait,
            sleep=self._clock.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        answer = attempts(call)
        self._heard = True
        return answer

    def _enough(self, state: RetryCallState) -> bool:
        limit = self._stop or (A_MINUTE if self._heard else FOUR_TIMES_WITHIN_A_MINUTE)
        return self._hurried() or limit(state)

    def _repeatable(self, error: BaseException, script: str) -> bool:
        if isinstance(error, LineCut):
            return self._safe(script)
        return isinstance(error, Unreachable) and not isinstance(
            error, HostKeyRefused | LoginRefused
        )

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, OpsplayError):
            self._on_retry(error, state.attempt_number, state.upcoming_sleep)
