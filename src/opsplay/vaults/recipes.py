"""The two credentials of a vault, as policies in the forms that providers take.

Daily: puts, looks, reads and lists below `v1/` and `probe/`; deletes nothing, lifts no lock. It may
set a lock, for that is what a put with a lock is. Expiry: deletes versions there, past their lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

Provider = Literal["aws", "seaweedfs", "ceph"]
Statement = dict[str, Any]

_LONGEST_LOCK_DAYS = 460
"""Longer than any plan keeps: whoever steals the daily credential cannot lock rubbish for ever."""
_DAILY = (
    "s3:PutObject",
    "s3:PutObjectRetention",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectRetention",
)
_EXPIRY = ("s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention")
_LISTS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketObjectLockConfiguration")
_NEVER = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteObject",
    "s3:PutObjectAcl",
    "s3:PutLifecycleConfiguration",
)


def policies(bucket: str, provider: Provider) -> dict[str, dict[str, Any]]:
    """Return `daily` and `expiry`: what each may do, for a user (AWS, SeaweedFS)."""
    daily = [_allow(bucket, _DAILY), _listing(bucket), _deny(bucket, ("s3:DeleteObjectVersion",))]
    if provider == "aws":
        daily.append(_no_long_locks(bucket))
    expiry = [_allow(bucket, _EXPIRY), _listing(bucket), _deny(bucket, ("s3:PutObject",))]
    return {"daily": _policy(daily), "expiry": _policy(expiry)}


def bucket_policy(bucket: str, users: Mapping[str, str]) -> dict[str, Any]:
    """Return one policy of the bucket for both users, by their names (Ceph)."""
    statements = [
        {**statement, "Principal": {"AWS": [f"arn:aws:iam:::user/{users[who]}"]}}
        for who, policy in policies(bucket, "ceph").items()
        for statement in policy["Statement"]
    ]
    return _policy(statements)


def identities(bucket: str) -> dict[str, Any]:
    """Return what belongs into SeaweedFS's s3.json; keys are to be filled in.

    Its own coarse action `Write:BUCKET` would include deleting: policies are needed.
    """
    found = policies(bucket, "seaweedfs")
    keys = [{"accessKey": "…", "secretKey": "…"}]
    return {
        "identities": [
            {"name": f"{bucket}-{who}", "credentials": keys, "policyNames": [f"{bucket}-{who}"]}
            for who in found
        ],
        "policies": [
            {"name": f"{bucket}-{who}", "content": json.dumps(text)} for who, text in found.items()
        ],
    }


def _policy(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _objects(bucket: str) -> list[str]:
    return [f"arn:aws:s3:::{bucket}/{prefix}/*" for prefix in ("v1", "probe")]


def _allow(bucket: str, actions: tuple[str, ...]) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": _objects(bucket)}


def _listing(bucket: str) -> Statement:
    where = [f"arn:aws:s3:::{bucket}"]
    return {"Effect": "Allow", "Action": list(_LISTS), "Resource": where}


def _deny(bucket: str, actions: tuple[str, ...]) -> Statement:
    """Return a denial: it also binds whoever a storage takes for an object's owner."""
    where = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": "Deny", "Action": [*_NEVER, *actions], "Resource": where}


def _no_long_locks(bucket: str) -> Statement:
    longer = {"s3:object-lock-remaining-retention-days": str(_LONGEST_LOCK_DAYS)}
    return {
        "Effect": "Deny",
        "Action": ["s3:PutObjectRetention"],
        "Resource": _objects(bucket),
        "Condition": {"NumericGreaterThan": longer},
    }
