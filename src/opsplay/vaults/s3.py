"""A vault in an S3 bucket. Hosts get URLs for one body each; credentials stay here.

Single PUTs only: the storage then knows the SHA-256 of each whole object, and says it on HEAD.
Storages that ignore SHA-256 (Ceph) get a signed Content-MD5 as well, and say it as the ETag.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Literal

from botocore.exceptions import ClientError

from opsplay.core.errors import VaultRefused
from opsplay.core.vault import SignedPut, StoredObject, VaultSettings
from opsplay.kit.clock import Clock
from opsplay.vaults.s3_line import S3Line, attempted, headers_of, lock_of, status_of, sums_of

_CHUNK = 1 << 20
TRIED = "probe/body"
"""The one object outside `v1/` that stays: what a storage tells of it tells which sum it knows."""
_UNTOUCHED = "nothing was backed up"
_EXAMPLE, _OTHER = b"the body that was announced", b"another body, which must be refused"
_MD5 = re.compile(r"[0-9a-f]{32}")


class S3Vault:
    """A bucket, reached through boto3."""

    signs = True

    def __init__(
        self, settings: VaultSettings, clock: Clock | None = None, line: S3Line | None = None
    ) -> None:
        self.name = settings.name
        self._lock = settings.lock
        self._bucket = settings.bucket
        self._line = line or S3Line(settings, clock)

    @property
    def _client(self) -> Any:
        return self._line.client

    @cached_property
    def checksum(self) -> Literal["sha256", "md5"]:
        kind: Literal["sha256", "md5"] = "sha256" if self._tells_sha256() else "md5"
        if self._takes_a_wrong_body(kind):
            raise self._unfit(
                f"takes bodies that do not fit their checksum ({kind}): what it holds could be"
                " anything, so no backup goes there",
                f"opsplay vault.probe {self.name}",
            )
        if self._lock != "none" and self._cannot_lock():
            raise self._unfit(
                f"cannot lock what it holds, and `lock: {self._lock}` is asked for",
                f"opsplay vault.setup {self.name}",
            )
        return kind

    def _unfit(self, why: str, next_command: str) -> VaultRefused:
        about = f"vault {self.name} at {self._line.place}, bucket {self._bucket}"
        return VaultRefused(f"{about}: it {why}", state=_UNTOUCHED, next_command=next_command)

    def _tells_sha256(self) -> bool:
        """Ask for the sum of an example, which is made where it is missing.

        Fetched rather than looked at: only then does a refusal say why.
        """
        with self._line.in_plain_words(f"fetch {TRIED}"):
            for _ in range(2):
                try:
                    answer = self._client.get_object(
                        Bucket=self._bucket, Key=TRIED, ChecksumMode="ENABLED"
                    )
                    return bool(answer.get("ChecksumSHA256"))
                except self._client.exceptions.NoSuchKey:
                    self.put(TRIED, _EXAMPLE, replace=True)
        raise VaultRefused(f"vault {self.name} does not hold {TRIED}, which was just stored")

    def _takes_a_wrong_body(self, kind: str) -> bool:
        parameters = {"Body": _OTHER, **sums_of(_EXAMPLE, (kind,))}
        answer = attempted(self._line, "put_object", Key=f"{TRIED}.refused", **parameters)
        if answer.status == HTTPStatus.BAD_REQUEST:
            return False
        if not answer.done:
            raise self._unfit(f"refused a trial ({answer})", f"opsplay vault.probe {self.name}")
        return True

    def _cannot_lock(self) -> bool:
        """Return whether the bucket says so; a credential that may not ask is told nothing."""
        answer = attempted(self._line, "get_object_lock_configuration")
        return answer.status == HTTPStatus.NOT_FOUND

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
        if self.checksum == "md5" and not md5:
            raise VaultRefused(f"vault {self.name} compares MD5: none was announced for {key}")
        sums = {"ChecksumSHA256": _base64(sha256)} | ({"ContentMD5": _base64(md5)} if md5 else {})
        conditions = sums | {"IfNoneMatch": "*"} | lock_of(self._lock, retain_until)
        url = self._line.sign("put_object", key, seconds, ContentLength=length, **conditions)
        headers = {"Content-Length": str(length)} | headers_of(conditions)
        return SignedPut(url, tuple(headers.items()))

    def sign_get(self, key: str, seconds: int = 900) -> str:
        return self._line.sign("get_object", key, seconds)

    def put(
        self,
        key: str,
        body: bytes,
        *,
        replace: bool = False,
        retain_until: datetime | None = None,
    ) -> StoredObject:
        if not replace and self.checksum == "md5" and self.head(key):  # Ceph would replace it
            raise VaultRefused(f"vault {self.name} already holds {key}; nothing was replaced")
        conditions = {} if replace else {"IfNoneMatch": "*"}
        conditions |= lock_of(self._lock, retain_until)
        wanted = StoredObject(key, len(body), hashlib.sha256(body).hexdigest())
        with self._line.in_plain_words(f"store {key}"):
            try:
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, **sums_of(body), **conditions
                )
            except ClientError as error:
                return self._after_a_lost_reply(error, wanted, body)
        return StoredObject(key, wanted.bytes, wanted.sha256, answer.get("VersionId", ""))

    def _after_a_lost_reply(
        self, error: ClientError, wanted: StoredObject, body: bytes
    ) -> StoredObject:
        """Return the object if "already there" only means that our first reply was lost."""
        metadata = error.response["ResponseMetadata"]
        taken = metadata["HTTPStatusCode"] == HTTPStatus.PRECONDITION_FAILED
        if taken and metadata.get("RetryAttempts", 0):
            found = self.head(wanted.key)
            if found and found.holds(
                wanted.bytes, wanted.sha256, hashlib.md5(body, usedforsecurity=False).hexdigest()
            ):
                return found
        raise error

    def head(self, key: str) -> StoredObject | None:
        with self._line.in_plain_words(f"look at {key}"):
            try:
                answer = self._client.head_object(
                    Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"
                )
            except ClientError as error:
                if status_of(error.response) == HTTPStatus.NOT_FOUND:
                    return None
                raise
        return _described(key, answer)

    def get(self, key: str, first: int = 0) -> Iterator[bytes]:
        part = {"Range": f"bytes=0-{first - 1}"} if first else {}
        with self._line.in_plain_words(f"fetch {key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **part)
            yield from answer["Body"].iter_chunks(_CHUNK)

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        # Sorted here: S3's order is by bytes, other servers list folder by folder.
        yield from sorted(self._listed(prefix), key=lambda one: one.key)

    def _listed(self, prefix: str) -> Iterator[StoredObject]:
        for page in self._pages("list_objects_v2", prefix):
            for one in page.get("Contents", ()):
                yield StoredObject(
                    one["Key"], one["Size"], modified=one["LastModified"].astimezone(UTC)
                )

    def versions(self, prefix: str) -> Iterator[StoredObject]:
        found = [
            (one["Key"], not one["IsLatest"], -one["LastModified"].timestamp(), _version(one))
            for page in self._pages("list_object_versions", prefix)
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        # Two versions of one second stay as the storage lists them: the newest first.
        yield from (row[-1] for row in sorted(found, key=lambda row: row[:3]))

    def _pages(self, act: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        with self._line.in_plain_words(f"list {prefix}"):
            yield from self._client.get_paginator(act).paginate(Bucket=self._bucket, Prefix=prefix)

    def delete(self, key: str, version_id: str = "") -> None:
        if not version_id:
            newest = self.head(key)
            if not newest:
                return
            version_id = newest.version_id
        one = {"VersionId": version_id} if version_id else {}
        with self._line.in_plain_words(f"delete {key}"):
            try:
                self._client.delete_object(Bucket=self._bucket, Key=key, **one)
            except ClientError as error:
                if status_of(error.response) == HTTPStatus.NOT_FOUND:
                    return
                if status_of(error.response) == HTTPStatus.FORBIDDEN:
                    raise self._undeletable(key, version_id, error) from error
                raise

    def _undeletable(self, key: str, version_id: str, error: ClientError) -> Exception:
        """Return why: a lock, where the storage tells one; else what it said."""
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key, VersionId=version_id)
            until = answer.get("ObjectLockRetainUntilDate")
        except ClientError:
            until = None
        if not until:
            return error
        return VaultRefused(
            f"vault {self.name}, bucket {self._bucket}: could not delete {key}: it is locked"
            f" until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        )


def _described(key: str, answer: Mapping[str, Any]) -> StoredObject:
    sha256 = base64.b64decode(answer.get("ChecksumSHA256", "")).hex()
    etag = answer.get("ETag", "").strip('"')
    until = answer.get("ObjectLockRetainUntilDate")
    return StoredObject(
        key=key,
        bytes=answer["ContentLength"],
        sha256=sha256,
        version_id=answer.get("VersionId", ""),
        modified=answer["LastModified"].astimezone(UTC),
        retain_until=until.astimezone(UTC) if until else None,
        md5=etag if not sha256 and _MD5.fullmatch(etag) else "",
    )


def _version(row: Mapping[str, Any]) -> StoredObject:
    return StoredObject(
        key=row["Key"],
        bytes=row.get("Size", 0),
        version_id=row["VersionId"],
        modified=row["LastModified"].astimezone(UTC),
        deleted="Size" not in row,
    )


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
