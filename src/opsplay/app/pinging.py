"""Tell a watcher that this controller is alive: one who hears nothing raises the alarm."""

from __future__ import annotations

from opsplay.app.options import Options
from opsplay.core.errors import Unreachable
from opsplay.core.schedule import Schedule
from opsplay.language.secrets import secret

_SECONDS = 10.0
"""Longest time for one ping: a tick must not hang on its watcher."""


def url_of(schedule: Schedule, options: Options) -> str:
    """Return the URL of a schedule's watcher, empty if it has none. Raises InvalidInput."""
    if not schedule.ping_secret:
        return schedule.ping
    return secret(schedule.ping_secret, options.inventory.parent).reveal()


def ping(url: str, *, good: bool) -> None:
    """Fetch the URL, or the one with `/fail` behind it. Raises Unreachable.

    Its text is a token, so that no message shows it.
    """
    import httpx

    target = url if good else f"{url.rstrip('/')}/fail"
    try:
        answer = httpx.get(target, timeout=_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise Unreachable(f"no answer ({type(error).__name__})") from None
    if not answer.is_success:
        raise Unreachable(f"it answered with status {answer.status_code}")
