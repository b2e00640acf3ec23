"""A vault in an S3 bucket. Hosts get URLs for one body each; credentials stay here.

Single PUTs only: the storage then knows the SHA-256 of each whole object, and says it on HEAD.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from http import HTTPStatus
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from opsplay.core.errors import InvalidInput, OpsplayError, StorageUnreachable, VaultRefused
from opsplay.core.vault import SignedPut, StoredObject, VaultSettings
from opsplay.kit.clock import Clock, SystemClock

_CHUNK = 1 << 20
_MOST_SKEW = 300.0
"""Seconds between the two clocks above which a 403 is blamed on them (S3 itself allows 900)."""

_OPENING = threading.Lock()


@cache
def _session() -> Any:
    """Return boto3's session: it reads 10 MB of service descriptions, once is enough."""
    return boto3.session.Session()


class S3Vault:
    """A bucket, reached through boto3."""

    signs = True

    def __init__(self, settings: VaultSettings, clock: Clock | None = None) -> None:
        if not settings.bucket:
            raise InvalidInput(f"vault {settings.name}: an s3 vault needs `bucket`")
        self.name = settings.name
        self._settings = settings
        self._clock = clock or SystemClock()

    @cached_property
    def _client(self) -> Any:
        settings = self._settings
        with _OPENING:  # making a client is not safe in several threads, using one is
            return _session().client(
                "s3",
                endpoint_url=settings.endpoint or None,
                region_name=settings.region,
                aws_access_key_id=settings.access_key and settings.access_key.reveal(),
                aws_secret_access_key=settings.secret_key and settings.secret_key.reveal(),
                config=_config(),
            )

    def sign_put(self, key: str, sha256: str, length: int, seconds: int = 900) -> SignedPut:
        checksum = _base64(sha256)
        with self._in_plain_words(f"sign {key}"):
            url = self._client.generate_presigned_url(
                "put_object",
                ExpiresIn=seconds,
                Params={
                    "Bucket": self._settings.bucket,
                    "Key": key,
                    "ChecksumSHA256": checksum,
                    "ContentLength": length,
                    "IfNoneMatch": "*",
                },
            )
        headers = (
            ("Content-Length", str(length)),
            ("If-None-Match", "*"),
            ("x-amz-checksum-sha256", checksum),
        )
        return SignedPut(url=url, headers=headers)

    def put(self, key: str, body: bytes, *, replace: bool = False) -> StoredObject:
        sha256 = hashlib.sha256(body).hexdigest()
        condition = {} if replace else {"IfNoneMatch": "*"}
        with self._in_plain_words(f"store {key}"):
            try:
                answer = self._client.put_object(
                    Bucket=self._settings.bucket,
                    Key=key,
                    Body=body,
                    ChecksumSHA256=_base64(sha256),
                    **condition,
                )
            except ClientError as error:
                return self._after_a_lost_reply(error, StoredObject(key, len(body), sha256))
        return StoredObject(key, len(body), sha256, answer.get("VersionId", ""))

    def _after_a_lost_reply(self, error: ClientError, wanted: StoredObject) -> StoredObject:
        """Return the object if "already there" only means that our first reply was lost."""
        metadata = error.response["ResponseMetadata"]
        taken = metadata["HTTPStatusCode"] == HTTPStatus.PRECONDITION_FAILED
        if taken and metadata.get("RetryAttempts", 0):
            found = self.head(wanted.key)
            if found and (found.bytes, found.sha256) == (wanted.bytes, wanted.sha256):
                return found
        raise error

    def head(self, key: str) -> StoredObject | None:
        with self._in_plain_words(f"look at {key}"):
            try:
                answer = self._client.head_object(
                    Bucket=self._settings.bucket, Key=key, ChecksumMode="ENABLED"
                )
            except ClientError as error:
                if _status(error.response) == HTTPStatus.NOT_FOUND:
                    return None
                raise
        return StoredObject(
            key=key,
            bytes=answer["ContentLength"],
            sha256=_hexadecimal(answer.get("ChecksumSHA256", "")),
            version_id=answer.get("VersionId", ""),
            modified=answer["LastModified"],
        )

    def get(self, key: str) -> Iterator[bytes]:
        with self._in_plain_words(f"fetch {key}"):
            answer = self._client.get_object(Bucket=self._settings.bucket, Key=key)
            yield from answer["Body"].iter_chunks(_CHUNK)

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        # Sorted here: S3's order is by bytes, other servers list folder by folder.
        yield from sorted(self._listed(prefix), key=lambda one: one.key)

    def _listed(self, prefix: str) -> Iterator[StoredObject]:
        with self._in_plain_words(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._settings.bucket, Prefix=prefix
            )
            for page in pages:
                for one in page.get("Contents", ()):
                    yield StoredObject(one["Key"], one["Size"], modified=one["LastModified"])

    @contextmanager
    def _in_plain_words(self, act: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._refusal(act, error.response) from error
        except BotoCoreError as error:
            raise StorageUnreachable(
                f"vault {self.name} at {self._place} did not answer ({act}): {error}",
                next_command=f"curl -I {self._place}",
            ) from error

    @property
    def _place(self) -> str:
        return self._settings.endpoint or f"S3 region {self._settings.region}"

    def _refusal(self, act: str, response: Mapping[str, Any]) -> OpsplayError:
        """Return the error that says in plain words why the storage said no."""
        status, code = _status(response), response.get("Error", {}).get("Code", "")
        bucket = self._settings.bucket
        about = f"vault {self.name}, bucket {bucket}: could not {act}"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return StorageUnreachable(f"{about}: the storage is in trouble (HTTP {status} {code})")
        if skew := self._skew(response) if status == HTTPStatus.FORBIDDEN else "":
            return VaultRefused(f"{about}: {skew}", next_command="timedatectl status")
        reason = _REASONS.get(code) or _REASONS.get(str(status)) or "the storage said no"
        return VaultRefused(
            f"{about}: {reason} (HTTP {status} {code})",
            next_command=f"check `{self.name}` in the inventory's vaults: endpoint, bucket, keys",
        )

    def _skew(self, response: Mapping[str, Any]) -> str:
        """Return what to say when our clock and the storage's differ too much, or ""."""
        said = response["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
        ahead = (self._clock.now() - parsedate_to_datetime(said)).total_seconds() if said else 0.0
        if abs(ahead) < _MOST_SKEW:
            return ""
        word = "ahead of" if ahead > 0 else "behind"
        return f"this machine's clock is {abs(ahead) / 60:.0f} minutes {word} the storage's"


_REASONS = {
    "InvalidAccessKeyId": "the access key is unknown",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "PreconditionFailed": "there is such an object already; nothing was replaced",
    "412": "there is such an object already; nothing was replaced",
    "BadDigest": "the bytes that arrived are not those that were sent",
    "403": "these keys may not do that",
    "404": "there is no such bucket or object",
}


def _config() -> Config:
    """Return settings that S3 servers other than Amazon's understand as well."""
    return Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"mode": "standard", "total_max_attempts": 6},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=16,
    )


def _status(response: Mapping[str, Any]) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _hexadecimal(checksum: str) -> str:
    return base64.b64decode(checksum).hex()
