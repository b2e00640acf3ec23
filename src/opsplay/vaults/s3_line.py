"""The way to an S3 service: a boto3 client, and its refusals in plain words."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from http import HTTPStatus
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from opsplay.core.errors import InvalidInput, OpsplayError, StorageUnreachable, VaultRefused
from opsplay.core.vault import VaultSettings
from opsplay.kit.clock import Clock, SystemClock

_MOST_SKEW = 300.0
"""Seconds between the two clocks above which a 403 is blamed on them (S3 itself allows 900)."""

_OPENING = threading.Lock()


@cache
def _session() -> Any:
    """Return boto3's session: it reads 10 MB of service descriptions, once is enough."""
    return boto3.session.Session()


class S3Line:
    """A client for one bucket with one credential."""

    def __init__(
        self,
        settings: VaultSettings,
        clock: Clock | None = None,
        style: Literal["path", "virtual"] = "path",
    ) -> None:
        if not settings.bucket:
            raise InvalidInput(f"vault {settings.name}: an s3 vault needs `bucket`")
        self.name = settings.name
        self.bucket = settings.bucket
        self.region = settings.region
        self._settings = settings
        self._clock = clock or SystemClock()
        self._style = style

    @cached_property
    def client(self) -> Any:
        """Return the boto3 client; using it is safe in several threads, making it is not."""
        settings = self._settings
        with _OPENING:
            return _session().client(
                "s3",
                endpoint_url=settings.endpoint or None,
                region_name=settings.region,
                aws_access_key_id=settings.access_key and settings.access_key.reveal(),
                aws_secret_access_key=settings.secret_key and settings.secret_key.reveal(),
                config=_config(self._style),
            )

    def sign(self, act: str, key: str, seconds: int, **parameters: object) -> str:
        """Return a URL that does one thing to one object; contacts nobody."""
        whole = {"Bucket": self.bucket, "Key": key, **parameters}
        with self.in_plain_words(f"sign {key}"):
            url: str = self.client.generate_presigned_url(act, ExpiresIn=seconds, Params=whole)
        return url

    @contextmanager
    def in_plain_words(self, act: str) -> Iterator[None]:
        """Let what boto3 raises come out as our own errors, which say what could not be done."""
        try:
            yield
        except ClientError as error:
            raise self.refusal(act, error.response) from error
        except BotoCoreError as error:
            raise StorageUnreachable(
                f"vault {self.name} at {self.place} did not answer ({act}): {error}",
                next_command=f"curl -I {self.place}",
            ) from error

    @property
    def place(self) -> str:
        """Return where the service is, for people."""
        return self._settings.endpoint or f"S3 region {self._settings.region}"

    def refusal(self, act: str, response: Mapping[str, Any]) -> OpsplayError:
        """Return the error that says in plain words why the storage said no."""
        status, code = status_of(response), response.get("Error", {}).get("Code", "")
        bucket = self.bucket
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


@dataclass(frozen=True)
class Answer:
    """What came back. Status 0: the storage hung up."""

    status: int
    code: str = ""

    @property
    def refused(self) -> bool:
        """Return whether it was a no; trouble of the server's own is not."""
        return not self.status or (
            HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR
        )

    @property
    def done(self) -> bool:
        """Return whether it was a yes."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code}".strip() if self.status else "it hung up"


def attempted(line: S3Line, act: str, **parameters: Any) -> Answer:
    """Have a credential do one thing to its bucket."""
    with line.in_plain_words(act.replace("_", " ")):
        try:
            answer = getattr(line.client, act)(Bucket=line.bucket, **parameters)
        except ClientError as error:
            status, code = status_of(error.response), error.response.get("Error", {}).get("Code")
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return Answer(status, "" if code == str(status) else code or "")
    return Answer(status_of(answer))


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


_HEADERS = {
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ContentMD5": "Content-MD5",
    "IfNoneMatch": "If-None-Match",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
}


def headers_of(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that parameters of boto3's travel as; whoever uses a URL must send them."""
    return {_HEADERS[name]: value for name, value in parameters.items()}


def lock_of(mode: str, retain_until: datetime | None) -> dict[str, str]:
    """Return the parameters of a lock; none for `none`, or without a date."""
    if not retain_until or mode == "none":
        return {}
    until = f"{retain_until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"ObjectLockMode": mode.upper(), "ObjectLockRetainUntilDate": until}


def sums_of(body: bytes, kinds: Iterable[str] = ("sha256", "md5")) -> dict[str, str]:
    """Return a body's sums as parameters: each storage compares those that it knows."""
    made = {
        "sha256": ("ChecksumSHA256", hashlib.sha256(body)),
        "md5": ("ContentMD5", hashlib.md5(body, usedforsecurity=False)),
    }
    chosen = (made[kind] for kind in kinds)
    return {name: base64.b64encode(one.digest()).decode() for name, one in chosen}


def status_of(response: Mapping[str, Any]) -> int:
    """Return the HTTP status of an answer, 0 if there is none."""
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _config(style: Literal["path", "virtual"]) -> Config:
    """Return settings that S3 servers other than Amazon's understand as well."""
    return Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        signature_version="s3v4",
        s3={"addressing_style": style},
        retries={"mode": "standard", "total_max_attempts": 6},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=16,
    )
