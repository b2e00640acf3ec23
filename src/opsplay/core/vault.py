"""The vault contract: where backups live, what it must promise, and how it is set up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

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
    lock: Literal["none", "governance", "compliance"] = "none"
    """How the storage keeps objects from being deleted before their time (S3 Object Lock)."""
    expiry_access_key: Secret | None = None
    expiry_secret_key: Secret | None = None
    """The second credential: the only one that may delete, used by `backups.expire` alone."""
    signing_key: Secret | None = None
    """OpenSSH ed25519 private key that manifests are signed with; None: the controller's own."""
    transport: Literal["auto", "direct", "relay"] = "auto"
    """How bytes get here: straight from the host, over its line to us, or as a trial tells."""
    limit_rate: int = 0
    """Bytes a second that a host may send; 0: as fast as it can."""


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
    """When it was stored, by the storage's clock."""
    retain_until: datetime | None = None
    """Until when the storage refuses to delete this version; only `head` says it."""
    deleted: bool = False
    """Whether this is a mark of deletion, which hides older versions (only in `versions`)."""
    md5: str = ""
    """Hexadecimal; told by storages that have no SHA-256 to tell (`Vault.checksum`)."""

    def holds(self, length: int, sha256: str, md5: str = "") -> bool:
        """Return whether the storage says that it holds exactly these bytes.

        Where it tells no SHA-256 (Ceph), MD5 decides: both sums came from who sent the bytes, so a
        forger deceives nobody but himself, and whoever reads the object compares SHA-256.
        """
        if self.bytes != length:
            return False
        return self.sha256 == sha256 if self.sha256 else bool(md5) and self.md5 == md5


class Vault(Protocol):
    """A place for objects that are written once.

    Every implementation passes `tests/vaults/contract.py`. Errors: `Unreachable` when the storage
    did not answer, `VaultRefused` when it said no.
    """

    name: str
    signs: bool
    """Whether `sign_put` works; if not, bytes travel through the controller (relay)."""

    @property
    def checksum(self) -> Literal["sha256", "md5"]:
        """Which sum the storage compares each body with, and tells on `head`.

        S3 storages are tried, once a process: a body that does not fit its sum must be refused.
        With `md5` (Ceph), `sign_put` needs that as well, so the host has to make both sums.

        Raises:
            VaultRefused: the storage takes a body that fits neither; no backup may go there.
        """
        ...

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
        """Return a URL bound to this key, these sums (hexadecimal) and this length in bytes.

        With `retain_until`, in a vault that locks, the lock is part of what is signed.

        Raises:
            VaultRefused: this vault cannot sign, or `checksum` is `md5` and none was given.
        """
        ...

    def sign_get(self, key: str, seconds: int = 900) -> str:
        """Return a URL that reads this one object and nothing else.

        Raises:
            VaultRefused: this vault cannot sign.
        """
        ...

    def put(
        self,
        key: str,
        body: bytes,
        *,
        replace: bool = False,
        retain_until: datetime | None = None,
    ) -> StoredObject:
        """Store `body`; MUST refuse an existing key unless `replace`.

        In a vault that locks, `replace` hides the version before, and touches nothing of it.
        """
        ...

    def head(self, key: str) -> StoredObject | None:
        """Return what the storage holds under `key`, or None (also where a mark hides it)."""
        ...

    def get(self, key: str, first: int = 0) -> Iterator[bytes]:
        """Yield the object's bytes; MUST raise rather than end short.

        `first`: only so many bytes from its start, or all if it has no more; 0: all.
        """
        ...

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        """Yield every object below `prefix`, sorted by key, however many there are."""
        ...

    def versions(self, prefix: str) -> Iterator[StoredObject]:
        """Yield every version below `prefix`, hidden ones and marks of deletion as well.

        Sorted by key, the newest version of each first.
        """
        ...

    def delete(self, key: str, version_id: str = "") -> None:
        """Delete one version for good; only expiry does. MUST refuse what is still locked.

        Without `version_id`, the version that `head` tells. A mark of deletion is deleted as a
        version is: what it hid is then seen again. What is gone already is no error, so that an
        expiry which was cut short can be done again. Never makes a mark, never bypasses a lock.

        Raises:
            VaultRefused: it is locked, or this credential may not delete.
        """
        ...
