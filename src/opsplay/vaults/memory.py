"""A vault in the memory of this process, for trying out and for tests."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import ClassVar

from opsplay.core.errors import VaultRefused
from opsplay.core.vault import SignedPut, StoredObject


class MemoryVault:
    """Objects in a dictionary; gone with the process."""

    signs = False
    _opened: ClassVar[dict[str, MemoryVault]] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self._objects: dict[str, bytes] = {}
        self._one_at_a_time = threading.Lock()

    @classmethod
    def named(cls, name: str) -> MemoryVault:
        """Return the vault of this name, the same one at each call."""
        return cls._opened.setdefault(name, cls(name))

    def sign_put(self, key: str, sha256: str, length: int, seconds: int = 900) -> SignedPut:
        raise VaultRefused(f"vault {self.name} cannot sign: its bytes travel through opsplay")

    def put(self, key: str, body: bytes, *, replace: bool = False) -> StoredObject:
        with self._one_at_a_time:
            if key in self._objects and not replace:
                raise VaultRefused(f"vault {self.name} already holds {key}; nothing was replaced")
            self._objects[key] = bytes(body)
        return _described(key, body)

    def head(self, key: str) -> StoredObject | None:
        body = self._objects.get(key)
        return None if body is None else _described(key, body)

    def get(self, key: str) -> Iterator[bytes]:
        if key not in self._objects:
            raise VaultRefused(f"vault {self.name} does not hold {key}")
        yield self._objects[key]

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        for key, body in sorted(self._objects.items()):
            if key.startswith(prefix):
                yield _described(key, body)


def _described(key: str, body: bytes) -> StoredObject:
    return StoredObject(key=key, bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
