"""Makes the bucket of a vault and its two credentials, with an administrator's given for once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from opsplay.core.enforcement import Enforced, SetUp
from opsplay.core.errors import InvalidInput, VaultRefused
from opsplay.core.vault import VaultSettings
from opsplay.kit.clock import Clock
from opsplay.kit.secret import Secret
from opsplay.vaults.recipes import Provider, bucket_policy, identities, policies
from opsplay.vaults.s3_line import Answer, S3Line, attempted

_LIFECYCLE = {
    "Rules": [
        {
            "ID": "opsplay-marks",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        {
            "ID": "opsplay-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
}
"""Tidies up marks of deletion that hide nothing any more, and uploads of others' tools. Versions are
never expired by age: whoever overwrites a backup would then destroy it, only later."""


def set_up(
    settings: VaultSettings,
    admin: tuple[Secret, Secret],
    clock: Clock,
    *,
    provider: Provider | None = None,
    users: Mapping[str, str] | None = None,
) -> SetUp:
    """Make the bucket where it is missing, keep versions and locks in it, and bind two credentials.

    Can be repeated: what is right already stays. `users`: names of the users whose keys the vault
    has, as `daily` and `expiry`; on Ceph they are bound by a policy of the bucket.

    Raises:
        InvalidInput: the vault is not an s3 one, or a user is named alone.
        Unreachable, VaultRefused: the storage, or the administrator's credential.
    """
    if settings.kind != "s3":
        raise InvalidInput(f"vault {settings.name} is a {settings.kind}: it needs no setting up")
    if users and set(users) != {"daily", "expiry"}:
        raise InvalidInput("name both users: --daily-user and --expiry-user")
    line = admin_line(settings, admin, clock)
    known = provider or provider_of(line)
    found = tuple(_bucket(line))
    if known == "ceph" and users:
        policy = json.dumps(bucket_policy(line.bucket, users))
        answer = attempted(line, "put_bucket_policy", Policy=policy)
        bound = _done("policy", "Both users are bound by a policy of the bucket", answer)
        return SetUp(known, (*found, bound), {})
    return SetUp(known, found, _recipe(line.bucket, known))


def admin_line(settings: VaultSettings, admin: tuple[Secret, Secret], clock: Clock) -> S3Line:
    """Return the way to the vault's bucket with the administrator's credential."""
    return S3Line(replace(settings, access_key=admin[0], secret_key=admin[1]), clock)


def provider_of(line: S3Line) -> Provider:
    """Return whose storage it is, by its address and by what it says of itself.

    Raises:
        InvalidInput: nothing tells.
    """
    with line.in_plain_words("look at the service"):
        headers = line.client.list_buckets()["ResponseMetadata"]["HTTPHeaders"]
    if "amazonaws.com" in line.place or line.place.startswith("S3 region"):
        return "aws"
    if "seaweedfs" in headers.get("server", "").lower():
        return "seaweedfs"
    if headers.get("x-amz-request-id", "").startswith("tx0"):
        return "ceph"
    raise InvalidInput(
        f"vault {line.name}: {line.place} does not say what it is: give --provider",
        next_command=f"opsplay vault.setup {line.name} --provider aws",
    )


def _bucket(line: S3Line) -> Iterator[Enforced]:
    exists = attempted(line, "head_bucket")
    if exists.status == 404:  # noqa: PLR2004 - HTTP's own number
        yield _must(line, _done("bucket", "The bucket exists", _created(line)))
    else:
        yield _must(line, _done("bucket", "The bucket exists", exists))
    versioning = attempted(
        line, "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}
    )
    yield _done("versions", "It keeps versions", versioning)
    yield _done("lock", "It can lock objects", _lockable(line))
    answer = attempted(
        line, "put_bucket_lifecycle_configuration", LifecycleConfiguration=_LIFECYCLE
    )
    tidied = "Marks of deletion that hide nothing are tidied up by the storage"
    yield replace(_done("lifecycle", tidied, answer), weight="should")


def _created(line: S3Line) -> Answer:
    where = (
        {"CreateBucketConfiguration": {"LocationConstraint": line.region}}
        if line.region not in {"", "us-east-1"} and "S3 region" in line.place
        else {}
    )
    return attempted(line, "create_bucket", ObjectLockEnabledForBucket=True, **where)


def _lockable(line: S3Line) -> Answer:
    """Ask whether the bucket can lock; if not, try to have it do so."""
    told = attempted(line, "get_object_lock_configuration")
    if told.done:
        return told
    return attempted(
        line,
        "put_object_lock_configuration",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"},
    )


def _must(line: S3Line, done: Enforced) -> Enforced:
    if not done.kept:
        raise VaultRefused(
            f"vault {line.name}: the bucket {line.bucket} can be neither seen nor made with the"
            f" administrator's credential ({done.seen})",
            state="nothing was set up",
        )
    return done


def _done(name: str, promise: str, answer: Answer) -> Enforced:
    return Enforced(name, promise, answer.done, str(answer))


def _recipe(bucket: str, provider: Provider) -> Mapping[str, Any]:
    match provider:
        case "aws":
            found = policies(bucket, provider)
            return {f"IAM policy of the user {bucket}-{who}": text for who, text in found.items()}
        case "seaweedfs":
            return {
                "into s3.json of SeaweedFS (-s3.config), with two pairs of keys": identities(bucket)
            }
        case "ceph":
            users = {"daily": f"{bucket}-daily", "expiry": f"{bucket}-expiry"}
            return {
                "policy of the bucket, bound by --daily-user and --expiry-user": bucket_policy(
                    bucket, users
                )
            }
