"""Tries things on a storage: with signed URLs as a host would, and with a credential as we would."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from opsplay.core.errors import VaultRefused
from opsplay.core.vault import StoredObject, VaultSettings
from opsplay.kit.clock import Clock
from opsplay.vaults.s3 import TRIED, S3Vault
from opsplay.vaults.s3_line import Answer, S3Line, attempted, headers_of, lock_of, sums_of

BODY, OTHER = b"what was announced", b"something else, eh"
PLACE = f"{TRIED.rpartition('/')[0]}/"
_LOCKED_SECONDS = 90
_FORGOTTEN = timedelta(minutes=10)
_CODE = re.compile(r"<Code>(\w+)</Code>")


@dataclass(frozen=True)
class Signed:
    """A URL to put one body, and the headers that its signature covers."""

    key: str
    url: str
    headers: Mapping[str, str]


class Trial:
    """Objects of its own below `probe/`, on one storage, with one or two credentials."""

    def __init__(
        self,
        settings: VaultSettings,
        expiring: VaultSettings | None,
        clock: Clock,
        admin: S3Line | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.line = S3Line(settings, clock)
        self.vault = S3Vault(settings, clock, self.line)
        self.expiring = S3Line(expiring, clock) if expiring else None
        self.deleting = self.expiring or self.line
        """The credential that can delete, if any can."""
        self.admin = admin
        self._wire = httpx.Client(timeout=30)
        self.prefix = f"{PLACE}{clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}/"
        self.sums: tuple[str, ...] = ("sha256",)
        """Which sums are signed: also `md5` where the storage ignores SHA-256."""

    def lock_ends(self) -> datetime:
        """Return when a lock of this trial is to end: soon."""
        return self.clock.now() + timedelta(seconds=_LOCKED_SECONDS)

    def locked(self) -> dict[str, str]:
        """Return the parameters of a lock that ends soon, of the vault's kind."""
        mode = "compliance" if self.settings.lock == "compliance" else "governance"
        return lock_of(mode, self.lock_ends())

    def newest(self, name: str) -> str:
        """Return the version that is seen under a key of this trial; empty if there is none."""
        found = self.vault.head(f"{self.prefix}{name}")
        return found.version_id if found else ""

    def sign(
        self,
        name: str,
        seconds: int = 300,
        *,
        sums: tuple[str, ...] = (),
        lock: Mapping[str, str] | None = None,
    ) -> Signed:
        """Return a URL to put BODY, as a backup's are signed."""
        key = f"{self.prefix}{name}"
        conditions = sums_of(BODY, sums or self.sums) | {"IfNoneMatch": "*"} | dict(lock or {})
        url = self.line.sign("put_object", key, seconds, ContentLength=len(BODY), **conditions)
        return Signed(key, url, {"Content-Length": str(len(BODY))} | headers_of(conditions))

    def send(
        self, signed: Signed, body: bytes = BODY, *, without: str = "", **changed: str
    ) -> Answer:
        """Put a body; leave headers out (those that begin with `without`) or change them."""
        kept = {
            name: value
            for name, value in signed.headers.items()
            if not without or not name.lower().startswith(without)
        }
        altered = {name.replace("_", "-"): value for name, value in changed.items()}
        return self.ask("PUT", signed.url, kept | altered, body)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one plain HTTP request, with no credential but what the URL holds."""
        try:
            answer = self._wire.request(method, url, headers=headers, content=body)
        except httpx.TransportError:
            return Answer(0)
        found = _CODE.search(answer.text[:4096]) if answer.is_error else None
        return Answer(answer.status_code, found[1] if found else "")

    def close(self) -> None:
        """Let go of the line."""
        self._wire.close()

    def stored(self, name: str, body: bytes = BODY, **parameters: str) -> str:
        """Store an object with the daily credential and return its version.

        Raises:
            VaultRefused: the credential may not even do that.
        """
        with self.line.in_plain_words(f"store {self.prefix}{name}"):
            answer = self.line.client.put_object(
                Bucket=self.line.bucket,
                Key=f"{self.prefix}{name}",
                Body=body,
                **sums_of(body, ("sha256", "md5")),
                **parameters,
            )
        return str(answer.get("VersionId", ""))

    def attempt(self, line: S3Line, act: str, name: str, **parameters: Any) -> Answer:
        """Have a credential do one thing to an object of this trial."""
        where = {"Key": f"{self.prefix}{name}"} if name else {}
        return attempted(line, act, **where, **parameters)

    def tidy(self) -> int:
        """Delete what this trial and forgotten ones before it made; return how many objects stay.

        Raises:
            VaultRefused: the daily credential may not list versions.
        """
        deleting = S3Vault(self.settings, self.clock, line=self.deleting)
        long_ago = self.clock.now() - _FORGOTTEN

        def stays(one: StoredObject) -> bool:
            try:
                deleting.delete(one.key, one.version_id)
            except VaultRefused:
                return True
            return False

        mine = [
            one
            for one in self.vault.versions(PLACE)
            if one.key != TRIED
            and (one.key.startswith(self.prefix) or (one.modified and one.modified < long_ago))
        ]
        with ThreadPoolExecutor(8) as pool:
            return sum(pool.map(stays, mine))
