"""The lab's bucket, as somebody without opsplay sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from opsplay.lab import Lab


def client(lab: Lab) -> Any:
    facts = lab.facts
    return boto3.client(
        "s3",
        endpoint_url=facts["lab_s3_endpoint"],
        region_name=facts["lab_s3_region"],
        aws_access_key_id=Path(facts["lab_s3_access_key_file"]).read_text().strip(),
        aws_secret_access_key=Path(facts["lab_s3_secret_key_file"]).read_text().strip(),
        config=Config(s3={"addressing_style": "path"}),
    )


def objects(lab: Lab) -> dict[str, bytes]:
    """Return all objects by their keys."""
    s3, bucket = client(lab), lab.facts["lab_s3_bucket"]
    found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found
    }


def locks(lab: Lab, prefix: str) -> dict[str, Any]:
    """Return until when each object below a prefix is locked."""
    s3, bucket = client(lab), lab.facts["lab_s3_bucket"]
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    heads = {one["Key"]: s3.head_object(Bucket=bucket, Key=one["Key"]) for one in found}
    return {key: head["ObjectLockRetainUntilDate"] for key, head in heads.items()}


def replace(lab: Lab, key: str, body: bytes) -> None:
    """Overwrite an object behind opsplay's back."""
    client(lab).put_object(Bucket=lab.facts["lab_s3_bucket"], Key=key, Body=body)
