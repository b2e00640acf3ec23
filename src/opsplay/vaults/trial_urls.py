"""What a signed URL is good for, and what it is not: all that a hacked host could try with one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from opsplay.core.enforcement import Enforced, Weight
from opsplay.core.errors import VaultRefused
from opsplay.vaults.s3_line import Answer
from opsplay.vaults.trial import BODY, OTHER, Trial


def try_urls(trial: Trial) -> Iterator[Enforced]:
    """Yield what the storage enforces of signed URLs.

    Raises:
        VaultRefused: not even what should work does; nothing can be said.
    """
    yield from _bodies(trial)
    yield _right_body(trial)
    yield from _conditions(trial)
    yield from _reach(trial)
    yield from _locks(trial)


def _bodies(trial: Trial) -> Iterator[Enforced]:
    by_sha256 = trial.send(trial.sign("wrong-sha256", sums=("sha256",)), OTHER)
    by_md5 = trial.send(trial.sign("wrong-md5", sums=("md5",)), OTHER)
    if not by_sha256.refused:
        trial.sums = ("sha256", "md5")
    either = by_sha256.refused or by_md5.refused
    seen = f"SHA-256: {by_sha256}; MD5: {by_md5}"
    yield Enforced("wrong-body", "A body that does not fit its checksum is refused", either, seen)
    told = f"{by_sha256}"
    yield Enforced(
        "wrong-sha256",
        "A wrong body is refused by its SHA-256",
        by_sha256.refused,
        told,
        "good to know",
    )
    yield Enforced(
        "wrong-md5",
        "A wrong body is refused by its MD5",
        by_md5.refused,
        f"{by_md5}",
        "good to know",
    )
    yield _refusal(
        "checksum-changed",
        "A URL for one body cannot be used for another with its own checksum",
        trial.send(trial.sign("changed-sum"), OTHER, **_other_sums(trial)),
    )
    longer = BODY + b"!"
    answer = trial.send(trial.sign("length"), longer, Content_Length=str(len(longer)))
    yield _refusal("wrong-length", "Another length than the signed one is refused", answer)


def _other_sums(trial: Trial) -> dict[str, str]:
    sha256 = base64.b64encode(hashlib.sha256(OTHER).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(OTHER, usedforsecurity=False).digest()).decode()
    return {"x_amz_checksum_sha256": sha256} | ({"Content_MD5": md5} if "md5" in trial.sums else {})


def _right_body(trial: Trial) -> Enforced:
    """Return what HEAD tells of a body that was sent as announced; it must have worked."""
    signed = trial.sign("right")
    answer = trial.send(signed)
    found = trial.vault.head(signed.key)
    if not answer.done or not found:
        raise VaultRefused(
            f"vault {trial.settings.name}: a body sent as it was announced was not stored ({answer})",
            next_command="check `endpoint`, `region` and the clock of this machine",
        )
    sha256, md5 = hashlib.sha256(BODY), hashlib.md5(BODY, usedforsecurity=False)
    kept = found.holds(len(BODY), sha256.hexdigest(), md5.hexdigest())
    seen = "SHA-256 told" if found.sha256 else "no SHA-256; MD5 told as the ETag"
    promise = "What is stored is told with a checksum of the whole object"
    return Enforced("checksum-told", promise, kept, seen if kept else "neither SHA-256 nor MD5")


def _conditions(trial: Trial) -> Iterator[Enforced]:
    expiring = trial.sign("expired", seconds=1)
    trial.clock.sleep(2.5)
    yield _refusal("expired", "A URL is refused after its time", trial.send(expiring))
    again = trial.sign("right")
    yield _refusal(
        "once", "A second body under the same key is refused (If-None-Match)",
        trial.send(again), "should",
    )  # fmt: skip
    yield _refusal(
        "once-left-out", "A signed If-None-Match cannot be left out",
        trial.send(trial.sign("once-left-out"), without="if-none-match"), "should",
    )  # fmt: skip


def _reach(trial: Trial) -> Iterator[Enforced]:
    signed = trial.sign("right")
    line = trial.line
    elsewhere = signed.url.replace("/right?", "/wrong?")
    answer = trial.ask("PUT", elsewhere, signed.headers, BODY)
    yield _refusal("other-key", "A URL for one key cannot write another", answer)
    yield _refusal("put-reads", "A URL to put cannot read", trial.ask("GET", signed.url))
    yield _refusal("put-deletes", "A URL to put cannot delete", trial.ask("DELETE", signed.url))
    url = line.sign("get_object", signed.key, 300)
    part = trial.ask("GET", url, {"Range": "bytes=2-5"})
    works = trial.ask("GET", url).done and part.status == 206  # noqa: PLR2004 - HTTP's own number
    yield Enforced("get", "A URL to read reads, in parts too", works, f"a part: {part}", "should")
    yield _refusal("get-writes", "A URL to read cannot write", trial.ask("PUT", url, {}, OTHER))
    yield _refusal("anonymous", "Without a signature nothing is read", trial.ask("GET", _bare(url)))


def _bare(url: str) -> str:
    return url.partition("?")[0]


def _locks(trial: Trial) -> Iterator[Enforced]:
    lock = trial.locked()
    weight: Weight = "should" if trial.settings.lock == "none" else "must"
    longer = {**lock, "ObjectLockRetainUntilDate": "2099-01-01T00:00:00Z"}
    signed = trial.sign("lock-left-out", lock=lock)
    yield _refusal(
        "lock-left-out", "A signed lock cannot be left out",
        trial.send(signed, without="x-amz-object-lock"), weight,
    )  # fmt: skip
    other = trial.sign("lock-changed", lock=longer)
    date = lock["ObjectLockRetainUntilDate"]
    yield _refusal(
        "lock-changed", "A signed date of a lock cannot be changed",
        trial.send(other, x_amz_object_lock_retain_until_date=date), weight,
    )  # fmt: skip


def _refusal(name: str, promise: str, answer: Answer, weight: Weight = "must") -> Enforced:
    return Enforced(name, promise, answer.refused, str(answer), weight)
