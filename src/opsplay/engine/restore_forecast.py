"""How long a restore will take, from what was measured just now: by the host's line, and by ours."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from opsplay.core.errors import LineCut, OpsplayError
from opsplay.core.query import Answer
from opsplay.core.vault import Vault
from opsplay.engine import restore_scripts as scripts
from opsplay.engine.restore_fetch import get_config
from opsplay.engine.restore_plan import Plan
from opsplay.engine.restoring import Restoring, Way
from opsplay.kit.clock import Clock
from opsplay.kit.wording import about, size

SAMPLES = (1 << 16, 1 << 20)
"""Bytes of a measurement: the second where the first went by too fast to say anything."""
_TOO_FAST = 0.25
_TRIES = 3
_MUCH_FASTER = 1.5
_WORTH_A_CHOICE = 60.0
"""Seconds below which it does not matter which way the bytes take."""
_GET = re.compile(r"^GET (\d{3}) (\d+) ([\d.]+) ([\d.]+)$", re.MULTILINE)
TAKE_IN = "cat >/dev/null\n"
"""What the controller's own line is measured with; it changes nothing on the host."""


@dataclass(frozen=True)
class Look:
    """What a host has for a restore."""

    tools: frozenset[str]
    free_bytes: int
    """Where the spool is."""
    room_bytes: int
    """Where the site is."""
    held_bytes: int
    """Taken by what an earlier attempt has fetched."""
    rate: float
    """Bytes a second from the storage to the host; 0: it cannot fetch by itself."""
    trouble: str = ""
    """Why it cannot."""


@dataclass(frozen=True)
class Forecast:
    """What it will cost."""

    bytes: int
    host_seconds: float | None
    """By the host's own line to the storage; None: it cannot, and everything goes through us."""
    our_seconds: float
    """Through the controller."""
    trouble: str = ""
    direct_only: bool = False
    """Whether the vault's settings say so."""

    @property
    def way(self) -> Way:
        """Return the faster way; the direct one unless ours is much faster."""
        if self.host_seconds is None:
            return "relay"
        if self.direct_only:
            return "direct"
        slow = self.host_seconds > max(_WORTH_A_CHOICE, _MUCH_FASTER * self.our_seconds)
        return "relay" if slow else "direct"

    @property
    def seconds(self) -> float:
        """Return how long the way that is taken will take."""
        return self.our_seconds if self.way == "relay" else self.host_seconds or 0.0

    def __str__(self) -> str:
        ours = about(self.our_seconds)
        if self.host_seconds is None:
            why = f" ({self.trouble})" if self.trouble else ""
            return f"{size(self.bytes)}: {ours} by your line; the host cannot fetch by itself{why}"
        return f"{size(self.bytes)}: {about(self.host_seconds)} by the host's line, {ours} by yours"


def look(work: Restoring, plan: Plan) -> Look:
    """Return what the host has, measured; changes nothing.

    Raises StepFailed, also where it must fetch by itself and cannot; LineCut.
    """
    answer = _looked(work, plan)
    tools = frozenset(re.findall(r"^HAS (\S+)$", answer.stdout, re.MULTILINE))
    told = dict(re.findall(r"^(FREE|ROOM|HELD) (\d+)$", answer.stdout, re.MULTILINE))
    if not answer.ok or len(told) < 3:  # noqa: PLR2004 - each of them once
        said = " ".join(answer.stderr.strip().splitlines()[-3:])
        raise work.refused(f"the host does not say what it has: {said}")
    rate, trouble = _by_itself(tools, answer, work.vault)
    name, way = work.vault.name, work.settings.transport
    if way == "relay":
        rate, trouble = 0.0, f"vault {name} says `transport: relay`"
    if way == "direct" and not rate:
        raise work.refused(
            f"the host cannot fetch from vault {name} by itself: {trouble}",
            f"set `transport: auto` in vault {name}: it then comes over your line",
        )
    free, room, held = (int(told[word]) << 10 for word in ("FREE", "ROOM", "HELD"))
    return Look(tools, free, room, held, rate, trouble)


def _looked(work: Restoring, plan: Plan) -> Answer:
    """Look, again where the piece that was to be fetched did not come through."""
    tries = _TRIES
    while True:
        sample, tries = _sample(work.vault, plan), tries - 1
        answer = work.transport.run(scripts.look(work.site), stdin=sample.encode())
        if not (sample and tries) or _came_through(answer):
            return answer


def _sample(vault: Vault, plan: Plan) -> str:
    """Return how curl fetches a piece of the largest segment; empty: the vault cannot sign."""
    if not vault.signs or not plan.largest:
        return ""
    return f"{get_config(vault.sign_get(plan.largest), sample=2 * SAMPLES[-1])}.\n"


def _by_itself(tools: frozenset[str], answer: Answer, vault: Vault) -> tuple[float, str]:
    if not vault.signs:
        return 0.0, f"vault {vault.name} cannot sign"
    if not tools & {"age", "php"}:
        return 0.0, "it has neither age nor PHP with sodium"
    if "curl" not in tools:
        return (1.0, "") if "php" in tools else (0.0, "it has neither curl nor PHP")
    found = _came_through(answer)
    if not found:
        found = _GET.search(answer.stdout)
        said = found[1] if found else answer.stdout.strip().splitlines()[-1:]
        return 0.0, f"a small GET did not come through: {said}"
    seconds = float(found[4]) - float(found[3])
    return int(found[2]) / max(seconds, 1e-3), ""


def _came_through(answer: Answer) -> re.Match[str] | None:
    """Return what was measured; None: no byte of it arrived."""
    found = _GET.search(answer.stdout)
    return found if found and found[1] in {"200", "206"} and int(found[2]) else None


def forecast(work: Restoring, plan: Plan, seen: Look) -> Forecast:
    """Return what the restore will cost. Raises LineCut, StorageUnreachable."""
    ours = _our_seconds(work, plan)
    if not seen.rate:
        return Forecast(plan.stored_bytes, None, ours, seen.trouble)
    measured = seen.rate if seen.rate > 1 else _rate_of_old(plan)
    direct_only = work.settings.transport == "direct"
    return Forecast(plan.stored_bytes, plan.stored_bytes / measured, ours, direct_only=direct_only)


def _rate_of_old(plan: Plan) -> float:
    """Return how fast the host sent the same streams when it saved them."""
    timed = [part.stream for part in plan.parts if part.stream.seconds > 0]
    seconds = sum(stream.seconds for stream in timed)
    return sum(stream.stored_bytes for stream in timed) / seconds if seconds else 1e6


def _our_seconds(work: Restoring, plan: Plan) -> float:
    """Return how long it takes through us: each byte comes down our line, and goes up it."""
    key = plan.largest
    if not key:
        return 0.0
    down = _measured(lambda count: sum(map(len, work.vault.get(key, first=count))), work.clock)
    up = _measured(lambda count: _sent(work, count), work.clock)
    return plan.stored_bytes / down + plan.stored_bytes / up


def _measured(move: Callable[[int], int], clock: Clock) -> float:
    """Return bytes a second."""
    rate = 1.0
    for sample in SAMPLES:
        begun = clock.monotonic()
        moved = move(sample)
        seconds = clock.monotonic() - begun
        rate = moved / max(seconds, 1e-3)
        if seconds > _TOO_FAST:
            break
    return max(rate, 1.0)


def _sent(work: Restoring, count: int) -> int:
    site = work.site.name
    try:
        answer = work.transport.run(TAKE_IN, stdin=os.urandom(count), timeout=120.0)
    except TimeoutError as error:
        raise LineCut("the line to the host is too slow to measure", site=site) from error
    if not answer.ok:
        raise OpsplayError("the line to the host cannot be measured", site=site)
    return count
