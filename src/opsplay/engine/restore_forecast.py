"""How long a restore will take, from what was measured just now: by the host's line, and by ours."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from opsplay.core.errors import LineCut, OpsplayError, StepFailed
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine import restore_scripts as scripts
from opsplay.engine.restore_fetch import UNCHANGED, get_config
from opsplay.engine.restore_plan import Plan
from opsplay.kit.clock import Clock

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
    def way(self) -> Literal["direct", "relay"]:
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
        ours = duration(self.our_seconds)
        if self.host_seconds is None:
            why = f" ({self.trouble})" if self.trouble else ""
            return f"{size(self.bytes)}: {ours} by your line; the host cannot fetch by itself{why}"
        return (
            f"{size(self.bytes)}: {duration(self.host_seconds)} by the host's line, {ours} by yours"
        )


def look(
    site: Site, transport: Transport, vault: Vault, settings: VaultSettings, plan: Plan
) -> Look:
    """Return what the host has, measured; changes nothing.

    Raises StepFailed, also where it must fetch by itself and cannot; LineCut.
    """
    sample, answer = _seen(site, transport, vault, plan)
    for _ in range(_TRIES - 1):
        if not sample or _came_through(answer):
            break
        sample, answer = _seen(site, transport, vault, plan)
    tools = frozenset(re.findall(r"^HAS (\S+)$", answer.stdout, re.MULTILINE))
    told = dict(re.findall(r"^(FREE|ROOM|HELD) (\d+)$", answer.stdout, re.MULTILINE))
    if not answer.ok or len(told) < 3:  # noqa: PLR2004 - each of them once
        said = " ".join(answer.stderr.strip().splitlines()[-3:])
        raise StepFailed(
            f"the host does not say what it has: {said}", site=site.name, state=UNCHANGED
        )
    rate, trouble = _by_itself(tools, answer, vault)
    if settings.transport == "relay":
        rate, trouble = 0.0, f"vault {vault.name} says `transport: relay`"
    if settings.transport == "direct" and not rate:
        raise StepFailed(
            f"the host cannot fetch from vault {vault.name} by itself: {trouble}",
            site=site.name,
            state=UNCHANGED,
            next_command=f"set `transport: auto` in vault {vault.name}: it then comes over your line",
        )
    free, room, held = (int(told[word]) << 10 for word in ("FREE", "ROOM", "HELD"))
    return Look(tools, free, room, held, rate, trouble)


def _seen(site: Site, transport: Transport, vault: Vault, plan: Plan) -> tuple[str, Answer]:
    sample = _sample(vault, plan)
    return sample, transport.run(scripts.look(site), stdin=sample.encode())


def _sample(vault: Vault, plan: Plan) -> str:
    """Return how curl fetches a piece of the largest segment; empty: the vault cannot sign."""
    segments = [segment for part in plan.parts for segment in part.stream.segments]
    if not vault.signs or not segments:
        return ""
    key = max(segments, key=lambda one: one.bytes).key
    return f"{get_config(vault.sign_get(key), sample=2 * SAMPLES[-1])}.\n"


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


def forecast(
    plan: Plan,
    seen: Look,
    transport: Transport,
    vault: Vault,
    settings: VaultSettings,
    clock: Clock,
    site: str,
) -> Forecast:
    """Return what the restore will cost. Raises LineCut, StorageUnreachable."""
    ours = _our_seconds(plan, transport, vault, clock, site)
    if not seen.rate:
        return Forecast(plan.stored_bytes, None, ours, seen.trouble)
    measured = seen.rate if seen.rate > 1 else _rate_of_old(plan)
    direct_only = settings.transport == "direct"
    return Forecast(plan.stored_bytes, plan.stored_bytes / measured, ours, direct_only=direct_only)


def _rate_of_old(plan: Plan) -> float:
    """Return how fast the host sent the same streams when it saved them."""
    timed = [part.stream for part in plan.parts if part.stream.seconds > 0]
    seconds = sum(stream.seconds for stream in timed)
    return sum(stream.stored_bytes for stream in timed) / seconds if seconds else 1e6


def _our_seconds(plan: Plan, transport: Transport, vault: Vault, clock: Clock, site: str) -> float:
    """Return how long it takes through us: each byte comes down our line, and goes up it."""
    segments = [segment for part in plan.parts for segment in part.stream.segments]
    if not segments:
        return 0.0
    key = max(segments, key=lambda one: one.bytes).key
    down = _measured(lambda count: _fetched(vault, key, count), clock)
    up = _measured(lambda count: _sent(transport, count, site), clock)
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


def _fetched(vault: Vault, key: str, count: int) -> int:
    return sum(map(len, vault.get(key, first=count)))


def _sent(transport: Transport, count: int, site: str) -> int:
    try:
        answer = transport.run(TAKE_IN, stdin=os.urandom(count), timeout=120.0)
    except TimeoutError as error:
        raise LineCut("the line to the host is too slow to measure", site=site) from error
    if not answer.ok:
        raise OpsplayError("the line to the host cannot be measured", site=site)
    return count


def size(count: float) -> str:
    """Return bytes as a person says them.

    >>> size(10_000_000_000), size(512), size(1_250_000)
    ('10 GB', '512 B', '1.25 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - a kilobyte's
            return f"{count:.3g} {unit}" if count < 100 else f"{count:.0f} {unit}"  # noqa: PLR2004
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """Return a time as a person says it.

    >>> duration(0.2), duration(240), duration(100_000), duration(30)
    ('1 s', '4 min', '27.8 h', '30 s')
    """
    if seconds < 90:  # noqa: PLR2004
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
