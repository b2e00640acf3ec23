"""How often something is tried, and how long is waited in between; every retry is journalled."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential

from opsplay.core.errors import LineCut, StepFailed, StorageUnreachable, VaultRefused
from opsplay.core.playbook import Declaration
from opsplay.kit.clock import Clock

_CUT_ATTEMPTS = 4
"""How often an act whose line was cut is done again (streams; jobs re-attach by themselves)."""

Note = Callable[[RetryCallState], None]


def as_declared(declaration: Declaration, clock: Clock, note: Note) -> Retrying:
    """Return the attempts that a step's `retries` and `delay` ask for."""
    return Retrying(
        stop=stop_after_attempt(declaration.retries + 1),
        wait=wait_exponential(multiplier=declaration.delay, max=300),
        retry=retry_if_exception_type((StepFailed, VaultRefused, StorageUnreachable)),
        sleep=clock.sleep,
        before_sleep=note,
        reraise=True,
    )


def after_cuts(clock: Clock, note: Note) -> Retrying:
    """Return the attempts at an act whose line is cut."""
    return Retrying(
        stop=stop_after_attempt(_CUT_ATTEMPTS),
        wait=wait_exponential(multiplier=1, max=20),
        retry=retry_if_exception_type(LineCut),
        sleep=clock.sleep,
        before_sleep=note,
        reraise=True,
    )
