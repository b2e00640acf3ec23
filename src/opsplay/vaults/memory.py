"""A vault in the memory of this process, for trying out and as the model of a vault that locks.

It keeps every version and enforces every lock by an injected clock, as a versioned S3 bucket with
Object Lock does: simulations of retention run on it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from opsplay.core.errors import VaultRefused
from opsplay.core.vault import SignedPut, StoredObject
from opsplay.kit.clock import Clock, SystemClock


@dataclass
class _Version:
    told: StoredObject
    body: bytes = field(repr=False)


class MemoryVault:
    """Versions of objects in a dictionary; gone with the process."""

    signs = False
    checksum: Literal["sha256"] = "sha256"
    _opened: ClassVar[dict[str, MemoryVault]] = {}

    def __init__(
        self,
        name: str,
        clock: Clock | None = None,
        lock: Literal["none", "governance", "compliance"] = "none",
    ) -> None:
        self.name = name
        self._clock = clock or SystemClock()
        self._locks = lock != "none"
        self._objects: dict[str, list[_Version]] = {}
        self._made = 0
        self._one_at_a_time = threading.Lock()

    @classmethod
    def named(
        cls, name: str, lock: Literal["none", "governance", "compliance"] = "none"
    ) -> MemoryVault:
        """Return the vault of this name, the same one at each call; the first says how it locks."""
        return cls._opened.setdefault(name, cls(name, lock=lock))

    def sign_put(
        self,
        key: str,
        sha256: str,
        length: int,
        seconds: int = 900,
        *,
        retain_until: datetime | None = None,
        md5: str = "",
    ) -> SignedPut:
        raise VaultRefused(f"vault {self.name} cannot sign: its bytes travel through opsplay")

    def sign_get(self, key: str, seconds: int = 900) -> str:
        raise VaultRefused(f"vault {self.name} cannot sign: its bytes travel through opsplay")

    def put(
        self,
        key: str,
        body: bytes,
        *,
        replace: bool = False,
        retain_until: datetime | None = None,
    ) -> StoredObject:
        with self._one_at_a_time:
            if self._seen(key) and not replace:
                raise VaultRefused(f"vault {self.name} already holds {key}; nothing was replaced")
            told = self._new(key, body, retain_until if self._locks else None)
            self._objects.setdefault(key, []).append(_Version(told, bytes(body)))
        return told

    def hide(self, key: str) -> StoredObject:
        """Put a mark of deletion over an object, as S3 does when no version is named."""
        with self._one_at_a_time:
            mark = dataclasses.replace(self._new(key, b"", None), sha256="", deleted=True)
            self._objects.setdefault(key, []).append(_Version(mark, b""))
        return mark

    def head(self, key: str) -> StoredObject | None:
        found = self._seen(key)
        return found.told if found else None

    def get(self, key: str, first: int = 0) -> Iterator[bytes]:
        found = self._seen(key)
        if not found:
            raise VaultRefused(f"vault {self.name} does not hold {key}")
        yield found.body[: first or None]

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        for key in sorted(self._objects):
            if key.startswith(prefix) and (found := self._seen(key)):
                yield dataclasses.replace(found.told, retain_until=None, version_id="")

    def versions(self, prefix: str) -> Iterator[StoredObject]:
        for key in sorted(self._objects):
            if key.startswith(prefix):
                for version in reversed(tuple(self._objects.get(key, ()))):
                    yield dataclasses.replace(version.told, retain_until=None)

    def delete(self, key: str, version_id: str = "") -> None:
        with self._one_at_a_time:
            newest = self._seen(key)
            wanted = version_id or (newest.told.version_id if newest else "")
            versions = self._objects.get(key, [])
            for version in versions:
                if version.told.version_id == wanted:
                    self._refuse_if_locked(version.told)
            versions[:] = (one for one in versions if one.told.version_id != wanted)
            if not versions:
                self._objects.pop(key, None)

    def _refuse_if_locked(self, told: StoredObject) -> None:
        if told.retain_until and self._clock.now() < told.retain_until:
            what = f"vault {self.name}: could not delete {told.key}"
            raise VaultRefused(f"{what}: it is locked until {told.retain_until:%Y-%m-%d %H:%M} UTC")

    def _seen(self, key: str) -> _Version | None:
        versions = self._objects.get(key)
        return versions[-1] if versions and not versions[-1].told.deleted else None

    def _new(self, key: str, body: bytes, retain_until: datetime | None) -> StoredObject:
        self._made += 1
        return StoredObject(
            key=key,
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            version_id=f"{self._made:08d}",
            modified=self._clock.now(),
            retain_until=retain_until,
        )
