"""What in a vault nobody needs any more: parts of backups that go, and what failed attempts left.

Only names that opsplay itself writes are ever touched. What cannot be understood keeps everything
around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opsplay.core.erasure import outlived
from opsplay.core.retention import CERTIFIED, SUPERSEDED, Plan
from opsplay.core.vault import StoredObject
from opsplay.core.verdict import DRILLED, Backup, Damage
from opsplay.engine.signature import SUFFIX
from opsplay.engine.snapshots import MANIFEST
from opsplay.engine.verify_chain import Gone
from opsplay.engine.verify_known import VERDICT, Known

LEFT_BEHIND = timedelta(days=7)
"""Age from which an object without a manifest is a failed attempt's, and none under way."""
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Where a storage does not tell when it stored something, that is never old enough to go."""
_PART = re.compile(r"(v1/[^/]+/[^/]+)/(pack|db|index|preflight)/([^/]+)\Z")
_SEALED = re.compile(r"(v1/[^/]+/[^/]+)/snap/([^/]+)\.json(?:\.sig)?\Z")
_FIRST_RECORD = re.compile(r"v1/[^/]+/expired/[^/]+\.json(?:\.sig)?\Z")
_MANUAL = re.compile(r"v1/[^/]+/README\.txt\Z")
_ERASURE = re.compile(r"v1/[^/]+/erasures/(\d{8}T\d{6}-[0-9a-f]{6})\.json\.age\Z")
_OTHERS = re.compile(r"v1/[^/]+/(erasures|drills)/")
"""What other parts of opsplay keep beside the backups, and look after themselves."""


@dataclass(frozen=True)
class Going:
    """One version that nobody needs."""

    version: StoredObject
    why: str
    locked_until: datetime | None = None

    def belongs_to(self, backup: Backup) -> bool:
        """Return whether it is a part, verdict or signature of this backup, by its name."""
        folder, name = backup.snapshot.folder, backup.snapshot.snap
        key = self.version.key
        return key.startswith(f"{folder}/") and key.rpartition("/")[2].startswith(name)


@dataclass(frozen=True)
class Unclear:
    """A manifest that is hidden, overwritten or unreadable: nobody knows what it needs."""

    damage: Damage
    until: datetime
    """When no plan would keep it any longer."""

    @property
    def folder(self) -> str:
        """Return the prefix of the month, of which everything stays."""
        return self.damage.key.partition("/snap/")[0]


def unclear(
    found: Known, versions: Mapping[str, tuple[StoredObject, ...]], plan: Plan, now: datetime
) -> tuple[Unclear, ...]:
    """Return the manifests that cannot be trusted, as long as a plan could keep them."""
    told = {one.key: one for one in found.damage}
    unsigned = {one.snapshot.key for one in found.backups if not one.signer}
    for key, every in versions.items():
        if not MANIFEST.match(key):
            continue
        if every[0].deleted:
            told[key] = Damage(key, "is hidden by a mark of deletion that opsplay did not make")
        elif len(every) > 1 and key in unsigned:
            told[key] = Damage(key, "was overwritten by somebody who cannot sign")
    doubts = (
        Unclear(damage, plan.longest(min(_stored(one) for one in versions[key])))
        for key, damage in sorted(told.items())
        if key in versions
    )
    return tuple(one for one in doubts if one.until > now)


@dataclass(frozen=True)
class Sweep:
    """What is needed to say which objects go."""

    versions: Mapping[str, tuple[StoredObject, ...]]
    """Key → versions and marks of deletion, the newest first."""
    staying: Sequence[Backup]
    going: Sequence[Backup]
    unclear: Sequence[Unclear]
    records: Mapping[str, tuple[Gone, ...]]
    plan: Plan
    now: datetime

    def objects(self) -> tuple[Going, ...]:
        """Return all versions that nobody needs, but for the manifests of backups."""
        return tuple(self._objects())

    def unknown(self) -> tuple[str, ...]:
        """Return the keys that no opsplay writes."""
        known = (_PART, _SEALED, VERDICT, _FIRST_RECORD, _MANUAL, _OTHERS)
        return tuple(
            key
            for key in self.versions
            if not any(form.match(key.removesuffix(SUFFIX)) for form in known)
        )

    def _objects(self) -> Iterator[Going]:
        needed = {part.key for one in self.staying for part in one.snapshot.segments}
        kept = {one.snapshot.key for one in self.staying}
        manifests = kept | {one.snapshot.key for one in self.going}
        frozen = {one.folder for one in self.unclear}
        linked = {sha256 for one in self.staying for sha256 in one.snapshot.follows}
        newest = self._newest_verdicts()
        for key, every in self.versions.items():
            why = ""
            if _MANUAL.match(key):
                yield from self._older(every)
            elif _FIRST_RECORD.match(key):
                why = self._record(key.removesuffix(SUFFIX), linked)
            elif found := _ERASURE.match(key):
                why = self._erasure(found[1])
            elif _folder(key) in frozen or key in needed:
                continue
            elif _PART.match(key):
                why = "no backup needs it"
            elif found := VERDICT.match(key.removesuffix(SUFFIX)):
                why = self._verdict(key, found[1], int(found[2]), kept, newest)
            elif _SEALED.match(key) and key not in manifests:
                why = "" if key.removesuffix(SUFFIX) in kept else "no backup needs it"
            if why and self._old(every):
                yield from (Going(one, why) for one in reversed(every))

    def _older(self, every: Sequence[StoredObject]) -> Iterator[Going]:
        """Yield the versions of the manual that a newer one hides."""
        for version in every[1:]:
            if self.now - _stored(version) > LEFT_BEHIND:
                yield Going(version, "a newer one is there")

    def _record(self, key: str, linked: set[str]) -> str:
        rows = self.records.get(key)
        if rows is None or any(one.sha256 in linked for one in rows):
            return ""
        return "no manifest that is left follows what it names"

    def _erasure(self, name: str) -> str:
        """A request to erase stays as long as any backup is there that may hold the person."""
        if self.unclear:
            return ""
        oldest = min((one.snapshot.started_at for one in self.staying), default=self.now)
        return "no backup is as old as this" if outlived(name, oldest) else ""

    def _verdict(self, key: str, snap: str, level: int, kept: set[str], newest: set[str]) -> str:
        age = self.now - max(map(_stored, self.versions[key]))
        if level == DRILLED and age < CERTIFIED:
            return ""
        manifest = f"{_folder(key)}/snap/{snap}.json"
        if manifest not in kept:
            return "its backup goes, or is gone"
        superseded = key.removesuffix(SUFFIX) not in newest and age > SUPERSEDED
        return "a newer verdict is there" if superseded else ""

    def _newest_verdicts(self) -> set[str]:
        """Return the newest verdict of each backup and level, by the storage's clock."""
        found: dict[tuple[str, str, str], tuple[datetime, str]] = {}
        for key, every in self.versions.items():
            if match := VERDICT.match(key):
                group = (_folder(key), match[1], match[2])
                one = (max(map(_stored, every)), key)
                found[group] = max(one, found.get(group, one))
        return {key for _, key in found.values()}

    def _old(self, every: Sequence[StoredObject]) -> bool:
        """Return whether it can belong to no backup that is being made."""
        return self.now - max(map(_stored, every)) > LEFT_BEHIND


def _folder(key: str) -> str:
    """Return the prefix of the month: `v1/SITE/MONTH`."""
    return "/".join(key.split("/")[:3])


def _stored(one: StoredObject) -> datetime:
    return one.modified or _NEVER
