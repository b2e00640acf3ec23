"""Backups of a made-up site in a vault of memory: small, sealed and signed as real ones are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.drills.test_certificate import CERTIFICATE

from opsplay.core.certificate import to_json as certificate_json
from opsplay.core.retention import CERTIFIED, Plan, locked_until, plan_named
from opsplay.core.snapshot import (
    CmsFacts,
    FileIndex,
    HostFacts,
    Segment,
    Snapshot,
    Source,
    Stream,
    to_json,
)
from opsplay.core.verdict import Verdict
from opsplay.engine.expire import Expired, Expiry, carry_out, planned
from opsplay.engine.signature import SUFFIX, Signer, new_private_key
from opsplay.engine.verify_known import Known, known, write_verdict
from opsplay.kit.clock import FrozenClock
from opsplay.vaults.memory import MemoryVault

SITE = "shop"
KEY = new_private_key()
SIGNER = Signer.of(KEY)
STRANGER = Signer.of(new_private_key())
TRUSTED = (SIGNER.public,)
START = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)


@dataclass
class Keeper:
    """A vault that locks, its clock, and what an agency does with it day by day."""

    plan: Plan = field(default_factory=lambda: plan_named("business"))
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(START))
    lock: str = "compliance"
    last: Snapshot | None = None
    sealed: int = 0
    previous: str = ""
    site: str = SITE
    vault: Any = None
    """In memory, unless another is given."""

    def __post_init__(self) -> None:
        self.vault = self.vault or MemoryVault("memory", self.clock, self.lock)

    def pass_days(self, days: float) -> None:
        self.clock.sleep(days * 86400)

    def back_up(self, *, signer: Signer | None = SIGNER, **changes) -> Snapshot:
        """Take an increment on the last one of the month, or a full one."""
        began = self.clock.now()
        self.clock.sleep(60)
        chain = f"{began:%Y-%m}"
        base = self.last if self.last and self.last.chain == chain else None
        self.sealed += 1
        snap = f"{began:%Y%m%dT%H%M%S}-{self.sealed:06x}"
        full = base is None
        db = self._stored(f"{chain}/db/{snap}-database-1.sql.zst.age.00000", began, full=full)
        pack = self._stored(
            f"{chain}/pack/{snap}-00-1.tar.zst.age.00000", began, full=full, packs=True
        )
        index = self._stored(f"{chain}/index/{snap}-1.tsv.gz.age", began, full=full)
        older = tuple(
            self._inherited(base, one) for one in base.streams if one.type == "files"
        ) if base else ()  # fmt: skip
        snapshot = Snapshot(**{
            "site": self.site, "environment": "production", "snap": snap, "chain": chain,
            "kind": "full" if full else "incr", "run_id": "run", "tool_version": "1",
            "started_at": began, "sealed_at": self.clock.now(),
            "host": HostFacts("web1", "Linux", {}), "cms": CmsFacts("wordpress", "https://x"),
            "source": Source("/srv"), "recipients": (),
            "streams": (_stream("database", "db", db), *older, _stream("files-00", "files", pack)),
            "restore_order": (), "previous_snap_sha256": self.previous,
            "index": FileIndex(index, "", 1, 1, 1, 0, 0),
        } | changes)  # fmt: skip
        self._seal(snapshot, signer, locked_until(self.plan, began, full=full))
        if signer is SIGNER and not snapshot.suspect:
            self.last = snapshot
        return snapshot

    def _seal(self, snapshot: Snapshot, signer: Signer | None, until: datetime) -> None:
        text = to_json(snapshot)
        if signer:
            self.vault.put(snapshot.key + SUFFIX, signer.sign(text), retain_until=until)
        self.vault.put(snapshot.key, text, retain_until=until)
        self.previous = hashlib.sha256(text).hexdigest()

    def _stored(self, name: str, began: datetime, *, full: bool, packs: bool = False) -> Segment:
        until = locked_until(self.plan, began, full=full, packs=packs)
        key = f"v1/{self.site}/{name}"
        told = self.vault.put(key, name.encode(), retain_until=until)
        return Segment(key, told.bytes, told.sha256, told.version_id, told.retain_until)

    def _inherited(self, base: Snapshot, one: Stream) -> Stream:
        name = one.name if one.snap else f"{base.snap}/{one.name}"
        return _stream(name, "files", one.segments[0], one.snap or base.snap)

    def known(self) -> Known:
        return known(self.vault, self.site, TRUSTED)

    def verify(self, snapshot: Snapshot, level: int = 2, *, signer: Signer = SIGNER) -> None:
        text = to_json(snapshot)
        verdict = Verdict(
            self.site, snapshot.snap, hashlib.sha256(text).hexdigest(), level, self.clock.now()
        )
        write_verdict(self.vault, snapshot.folder, verdict, signer)

    def certify(
        self, snapshot: Snapshot, verdict: str = "SUCCESSFUL", *, signer: Signer = SIGNER, **changes
    ) -> str:
        """Store a drill's certificate as a drill does; return its key."""
        now = self.clock.now()
        proved = replace(
            CERTIFICATE.snapshot, snap=snapshot.snap, manifest=snapshot.key,
            manifest_sha256=hashlib.sha256(to_json(snapshot)).hexdigest(),
        )  # fmt: skip
        made = replace(
            CERTIFICATE, **{"site": self.site, "began_at": now, "ended_at": now} | changes,
            snapshot=proved, verdict=verdict,
        )  # fmt: skip
        told, until = certificate_json(made), now + CERTIFIED
        self.vault.put(made.key, told, retain_until=until)
        self.vault.put(made.key + SUFFIX, signer.sign(told), retain_until=until)
        return made.key

    def month_of_days(self, days: int) -> list[Snapshot]:
        """Back up each day, and verify at level 2 each week."""
        found = []
        for day in range(days):
            found.append(self.back_up())
            if day % 7 == 0:
                self.verify(found[-1])
            self.pass_days(1)
        return found

    def planned(self, vault: MemoryVault | None = None) -> Expiry:
        deleter = vault or self.vault
        return planned(self.vault, deleter, self.site, self.plan, TRUSTED, self.clock.now())

    def expire(self, vault: MemoryVault | None = None) -> Expired:
        deleter = vault or self.vault
        self.clock.sleep(1)
        expiry = self.planned(deleter)
        return carry_out(expiry, self.vault, deleter, SIGNER, self.clock.now())

    def names(self) -> list[str]:
        return [one.snapshot.snap for one in self.known().backups]

    def whole(self) -> list[str]:
        """Return what is missing of any backup that is listed."""
        return [
            segment.key
            for one in self.known().backups
            for segment in one.snapshot.segments
            if self.vault.head(segment.key) is None
        ]


def _stream(name: str, kind: str, segment: Segment, snap: str = "") -> Stream:
    return Stream(name, kind, "zstd", 1, "", {}, None, (segment,), snap)  # type: ignore[arg-type]
