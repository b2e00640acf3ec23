"""How well a storage keeps what it has: versions, locks, lists."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from opsplay.core.enforcement import Enforced, Weight
from opsplay.core.errors import VaultRefused
from opsplay.vaults.s3_line import sums_of
from opsplay.vaults.trial import BODY, OTHER, Trial

_FEW, _MANY = 5, 1001
"""Objects to list: in pages of two, or more than S3 lists at once."""


def try_keeping(trial: Trial, *, thorough: bool) -> Iterator[Enforced]:
    """Yield whether versions are kept, locks hold and lists are whole."""
    yield _versions(trial)
    yield from _locks(trial)
    yield _list(trial, _MANY if thorough else _FEW)


def _versions(trial: Trial) -> Enforced:
    promise = "Overwriting keeps the version before"
    first = trial.stored("versions")
    second = trial.stored("versions", OTHER)
    kept = bool(first) and first not in {second, "null"}
    if kept:
        found = trial.attempt(trial.line, "head_object", "versions", VersionId=first)
        kept = found.done
    seen = "two versions" if kept else "the bucket keeps no versions"
    return Enforced("versions", promise, kept, seen, _weight(trial))


def _weight(trial: Trial) -> Weight:
    return "should" if trial.settings.lock == "none" else "must"


def _locks(trial: Trial) -> Iterator[Enforced]:
    weight, lock = _weight(trial), trial.locked()
    told = f"An object can be locked when it is put ({lock['ObjectLockMode'].lower()})"
    stored = trial.attempt(trial.line, "put_object", "locked", Body=BODY, **sums_of(BODY), **lock)
    found = trial.vault.head(f"{trial.prefix}locked")
    if not stored.done or not found or not found.retain_until:
        seen = str(stored) if stored.refused else "the date was not kept"
        yield Enforced("lock", told, False, seen, weight)
        return
    yield Enforced("lock", told, True, f"until {found.retain_until:%H:%M:%S} UTC", weight)
    yield _undeletable(trial, found.version_id, weight)
    yield _unshortened(trial, found.version_id, weight)


def _undeletable(trial: Trial, version: str, weight: Weight) -> Enforced:
    """Try to delete with a credential that is known to delete what is not locked."""
    promise = "A locked version cannot be deleted by who may delete"
    free = trial.stored("unlocked")
    able = trial.attempt(trial.deleting, "delete_object", "unlocked", **_named(free))
    if not able.done:
        seen = f"nobody here may delete at all ({able}): give `expiry_access_key` to try it"
        return Enforced("lock-holds", promise, None, seen, weight)
    answer = trial.attempt(trial.deleting, "delete_object", "locked", **_named(version))
    there = trial.attempt(trial.line, "head_object", "locked", **_named(version))
    return Enforced("lock-holds", promise, answer.refused and there.done, str(answer), weight)


def _named(version: str) -> dict[str, str]:
    return {"VersionId": version} if version else {}


def _unshortened(trial: Trial, version: str, weight: Weight) -> Enforced:
    soon = trial.clock.now() + timedelta(seconds=5)
    retention = {"Mode": trial.locked()["ObjectLockMode"], "RetainUntilDate": soon}
    answer = trial.attempt(
        trial.deleting, "put_object_retention", "locked", Retention=retention, **_named(version)
    )
    return Enforced(
        "lock-shortened", "A lock cannot be shortened", answer.refused, str(answer), weight
    )


def _list(trial: Trial, count: int) -> Enforced:
    names = [f"many/{number:04d}" for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: trial.stored(name, b""), names))
    prefix, page = f"{trial.prefix}many/", None if count > _FEW else 2
    with trial.line.in_plain_words(f"list {prefix}"):
        pages = list(
            trial.line.client.get_paginator("list_objects_v2").paginate(
                Bucket=trial.line.bucket, Prefix=prefix, PaginationConfig={"PageSize": page}
            )
        )
    found = [one["Key"] for answer in pages for one in answer.get("Contents", ())]
    kept = sorted(found) == [f"{trial.prefix}{name}" for name in names] and len(pages) > 1
    seen = f"{len(found)} of {count} objects on {len(pages)} pages"
    return Enforced("lists", "A list goes on after its first page", kept, seen)


def try_reaching(trial: Trial) -> Iterator[Enforced]:
    """Yield whether the storage answers, and whether the clocks agree.

    Raises:
        Unreachable, VaultRefused: it does not answer, or the credential is wrong.
    """
    next(trial.vault.keys(trial.prefix), None)
    before = trial.clock.now()
    trial.stored("clock")
    after = trial.clock.now()
    stored = trial.vault.head(f"{trial.prefix}clock")
    if not stored or not stored.modified:
        raise VaultRefused(f"vault {trial.settings.name} does not hold what was just stored")
    middle = before + (after - before) / 2
    apart = (stored.modified - middle).total_seconds()
    seen = f"the storage's is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}"
    kept = abs(apart) < 60  # noqa: PLR2004 - a minute is well within what signatures allow
    yield Enforced("clock", "This machine's clock and the storage's agree", kept, seen, "should")
