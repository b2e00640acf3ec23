"""The vault contract: where backups live, what it must promise, and how it is set up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from opsplay.kit.secret import Secret


@dataclass(frozen=True)
class VaultSettings:
    """Where backups live. Credentials are references, revealed only to open the vault."""

    name: str
    kind: str
    """`s3`, `folder` or `memory`."""
    endpoint: str = ""
    region: str = "us-east-1"
    bucket: str = ""
    folder: str = ""
    access_key: Secret | None = None
    secret_key: Secret | None = None
    recipients: tuple[str, ...] = ()
    """age public keys; the only key material that ever reaches a host."""
    identity: Secret | None = None
    """age identity, needed only to restore; never sent to a host."""


@dataclass(frozen=True)
class SignedPut:
    """A URL that accepts one body, once, for a short time."""

    url: str
    headers: tuple[tuple[str, str], ...]
    """Headers that the signature covers; the sender MUST send exactly these."""


@dataclass(frozen=True, order=True)
class StoredObject:
    """What the storage itself says of one object."""

    key: str
    bytes: int
    sha256: str = ""
    """Hexadecimal; empty where the storage does not say."""
    version_id: str = ""
    modified: datetime | None = None


class Vault(Protocol):
    """A place for objects that are written once.

    Every implementation passes `tests/vaults/contract.py`. Errors: `Unreachable` when the storage
    did not answer, `VaultRefused` when it said no.
    """

    name: str
    signs: bool
    """Whether `sign_put` works; if not, bytes travel through the controller (relay)."""

    def sign_put(self, key: str, sha256: str, length: int, seconds: int = 900) -> SignedPut:
        """Return a URL bound to this key, this SHA-256 (hexadecimal) and this length in bytes."""
        ...

    def put(self, key: str, body: bytes, *, replace: bool = False) -> StoredObject:
        """Store `body`; MUST refuse an existing key unless `replace`."""
        ...

    def head(self, key: str) -> StoredObject | None:
        """Return what the storage holds under `key`, or None."""
        ...

    def get(self, key: str) -> Iterator[bytes]:
        """Yield the object's bytes; MUST raise rather than end short."""
        ...

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        """Yield every object below `prefix`, sorted by key, however many there are."""
        ...
