"""What the two credentials of a vault may do, found by trying what they must not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

from opsplay.core.enforcement import Enforced, Weight
from opsplay.core.errors import VaultRefused
from opsplay.vaults.s3 import S3Vault
from opsplay.vaults.s3_line import Answer, S3Line, attempted, lock_of, sums_of
from opsplay.vaults.trial import BODY, Trial

_ELSEWHERE = "elsewhere/opsplay-probe"
"""A key that no credential of a vault should reach."""


def try_daily(trial: Trial) -> Iterator[Enforced]:
    """Yield what the credential for daily work cannot do: whoever steals it destroys nothing."""
    line, version = trial.line, trial.stored("daily")
    named = {"VersionId": version} if version else {}
    answer = trial.attempt(line, "delete_object", "daily", **named)
    yield _refusal("daily-deletes", "The daily credential cannot delete a version", answer)
    answer = trial.attempt(line, "delete_object", "daily")
    yield _refusal(
        "daily-hides",
        "The daily credential cannot hide an object behind a mark of deletion",
        answer,
    )
    yield _bypass(trial, line, "daily")
    yield _settings("daily", line)
    yield from _elsewhere(trial)


def try_expiring(trial: Trial) -> Iterator[Enforced]:
    """Yield what the second credential can and cannot do: delete what is not locked, and no more."""
    if not trial.expiring:
        return
    line, version = trial.expiring, trial.stored("expiry")
    answer = trial.attempt(line, "put_object", "expiry-puts", Body=BODY, **sums_of(BODY))
    yield _refusal("expiry-puts", "The expiry credential cannot write", answer)
    yield _bypass(trial, line, "expiry")
    yield _settings("expiry", line)
    named = {"VersionId": version} if version else {}
    answer = trial.attempt(line, "delete_object", "expiry", **named)
    promise = "The expiry credential deletes what is not locked"
    yield Enforced("expiry-deletes", promise, answer.done, str(answer), "should")


def _bypass(trial: Trial, line: S3Line, who: str) -> Enforced:
    """Try to delete a version under a governance lock, in the way that administrators have."""
    name, key = f"{who}-bypasses", f"{who}-bypass"
    promise = f"The {who} credential cannot lift a governance lock"
    lock = lock_of("governance", trial.lock_ends())
    stored = trial.attempt(trial.line, "put_object", key, Body=BODY, **sums_of(BODY), **lock)
    if not stored.done:
        return Enforced(name, promise, None, f"nothing can be locked here ({stored})", "should")
    version = trial.newest(key)
    parameters = {"VersionId": version, "BypassGovernanceRetention": True}
    return _refusal(name, promise, trial.attempt(line, "delete_object", key, **parameters))


def _settings(who: str, line: S3Line) -> Enforced:
    """Try to set what is set already: if that may be done, so may the opposite."""
    answer = attempted(line, "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    return _refusal(
        f"{who}-settings", f"The {who} credential cannot change the bucket's settings", answer
    )


def _elsewhere(trial: Trial) -> Iterator[Enforced]:
    line, sums = trial.line, sums_of(BODY)
    written = attempted(line, "put_object", Key=_ELSEWHERE, Body=BODY, **sums)
    yield _refusal(
        "daily-writes-elsewhere",
        "The daily credential cannot write outside of v1/ and probe/",
        written,
    )
    if trial.admin:
        attempted(trial.admin, "put_object", Key=_ELSEWHERE, Body=BODY, **sums)
    read = attempted(line, "get_object", Key=_ELSEWHERE)
    there = read.status != HTTPStatus.NOT_FOUND
    seen = str(read) if there else "there is nothing to read"
    kept = read.refused if there else None
    yield Enforced(
        "daily-reads-elsewhere", "The daily credential cannot read there", kept, seen, "should"
    )
    with suppress(VaultRefused):
        S3Vault(trial.settings, line=trial.admin or trial.deleting).delete(_ELSEWHERE)


def _refusal(name: str, promise: str, answer: Answer, weight: Weight = "should") -> Enforced:
    return Enforced(name, promise, answer.refused, str(answer), weight)
