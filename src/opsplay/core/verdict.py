"""What a verification found of one backup, and what is known of a backup altogether.

Verdicts lie beside the backup, signed as manifests are, and are never overwritten. Levels:

1  the storage still has every object, by size, SHA-256, version and lock; the manifest is signed
   and follows from the one before it
2  everything was fetched, decrypted and read through: sums, archives, the dump's last line
3  the newest backup was compared with the living site
4  a drill: restored to a scratch environment, and it works there

Level 0 is a person's word that a suspect backup is no damage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opsplay.core.drill_promise import DrillPromise
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.retention import Fate
from opsplay.core.snapshot import Snapshot

SCHEMA = 1
WORD, LISTED, READ, COMPARED, DRILLED = range(5)


@dataclass(frozen=True, order=True)
class Damage:
    """One object that is not as it should be."""

    key: str
    what: str
    """As in `is missing`."""

    def __str__(self) -> str:
        return f"{self.key} {self.what}"


@dataclass(frozen=True)
class Verdict:
    """The outcome of one verification of one backup."""

    site: str
    snap: str
    manifest_sha256: str
    """Of the manifest that was verified: for another one this verdict says nothing."""
    level: int
    at: datetime
    damage: tuple[Damage, ...] = ()
    looked_at: str = ""
    """How much was looked at, in words."""
    by: str = ""
    """Who said so, at level 0."""

    @property
    def good(self) -> bool:
        """Return whether nothing was found."""
        return not self.damage

    @property
    def name(self) -> str:
        """Return the object's name, below the chain's `verify/`."""
        return f"{self.snap}-L{self.level}-{self.at.astimezone(UTC):%Y%m%dT%H%M%S%f}.json"


@dataclass(frozen=True)
class Backup:
    """A sealed backup and all that is known of it without fetching it."""

    snapshot: Snapshot
    manifest_sha256: str
    stored: datetime
    """By the storage's clock."""
    signer: str
    """Public key whose signature the manifest carries; empty: of nobody who is trusted."""
    verdicts: tuple[Verdict, ...] = ()
    """Those signed for this very manifest, oldest first."""
    lock: datetime | None = None
    fate: Fate | None = None
    doubt: str = ""
    """Why it does not count, as `engine.trust` decides; empty: it does, or nobody asked."""

    @property
    def damage(self) -> tuple[Damage, ...]:
        """Return what the last verification found, unless one as deep found nothing since."""
        for verdict in reversed(self.verdicts):
            if not verdict.good:
                return verdict.damage
            if verdict.level >= self._worst:
                break
        return ()

    @property
    def _worst(self) -> int:
        return max((one.level for one in self.verdicts if not one.good), default=WORD)

    @property
    def proved(self) -> Verdict | None:
        """Return the deepest good verification, the newest of that level; None: damaged or never."""
        good = [one for one in self.verdicts if one.good and one.level > WORD]
        if self.damage or not good:
            return None
        return max(good, key=lambda one: (one.level, one.at))

    @property
    def suspect(self) -> bool:
        """Return whether it looks like damage, and nobody has said that it is none."""
        return bool(self.snapshot.suspect) and not any(one.level == WORD for one in self.verdicts)

    @property
    def good(self) -> bool:
        """Return whether it may be counted on, as far as is known."""
        return bool(self.signer) and not self.damage


def to_json(verdict: Verdict) -> bytes:
    """Return the verdict as a text that can be signed and read by a person."""
    data = {
        "schema": SCHEMA,
        "site": verdict.site,
        "snap": verdict.snap,
        "manifest_sha256": verdict.manifest_sha256,
        "level": verdict.level,
        "at": verdict.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "good": verdict.good,
        "damage": [{"key": one.key, "what": one.what} for one in verdict.damage],
        "looked_at": verdict.looked_at,
        "by": verdict.by,
    }
    return json.dumps(data, indent=1, sort_keys=True).encode() + b"\n"


def from_json(text: bytes, where: str = "verdict") -> Verdict:
    """Return the verdict that the text, or a drill's certificate, holds. Raises UnreadableAnswer."""
    try:
        data: Mapping[str, Any] = json.loads(text)
        if "restore" in data:
            return _certified(data)
        (SCHEMA,).index(data["schema"])
        return Verdict(
            site=str(data["site"]),
            snap=str(data["snap"]),
            manifest_sha256=str(data["manifest_sha256"]),
            level=int(data["level"]),
            at=datetime.fromisoformat(data["at"]).astimezone(UTC),
            damage=tuple(Damage(str(one["key"]), str(one["what"])) for one in data["damage"]),
            looked_at=str(data["looked_at"]),
            by=str(data["by"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableAnswer(f"{where} is not a readable verdict: {error}") from error


def _certified(data: Mapping[str, Any]) -> Verdict:
    """Return what a drill's certificate says of the backup. A promise not kept is no damage."""
    (("restored", "failed")).index(data["restore"]["status"])  # one that gave up says nothing
    proved = data["snapshot"]
    right = data["restore"]["status"] == "restored" and all(one["good"] for one in data["checks"])
    wrong = Damage(str(proved["manifest"]), "did not come back right in a drill")
    return Verdict(
        site=str(data["site"]),
        snap=str(proved["snap"]),
        manifest_sha256=str(proved["manifest_sha256"]),
        level=int(data["level"]),
        at=datetime.fromisoformat(data["ended_at"]).astimezone(UTC),
        damage=() if right else (wrong,),
        looked_at="restored in a drill",
    )


@dataclass(frozen=True)
class Shelf:
    """The backups of one site, and what is to be known of them."""

    site: str
    plan: str
    backups: tuple[Backup, ...]
    """Oldest first."""
    damage: tuple[Damage, ...] = ()
    """What concerns no single backup: unreadable manifests, a broken chain."""
    alarms: tuple[str, ...] = ()
    signed: bool = True
    """Whether any key is trusted here: else nothing can be said of signatures."""
    drills: DrillPromise | None = None
    """None: no drills were promised, or there is nothing to drill."""
