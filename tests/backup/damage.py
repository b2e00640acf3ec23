"""What can happen to the objects of a vault, and the two signed backups that it happens to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from tests.backup.conftest import Bench

from opsplay.core.snapshot import Snapshot
from opsplay.core.vault import StoredObject
from opsplay.engine.signature import SUFFIX, Signer, new_private_key
from opsplay.engine.snapshots import text

SIGNER = Signer.of(new_private_key())
STRANGER = Signer.of(new_private_key())
TRUSTED = (SIGNER.public,)


def two_backups(bench: Bench) -> tuple[Snapshot, Snapshot]:
    """Take a full backup and an increment on it, both signed."""
    first = bench.take(signer=SIGNER)
    bench.clock.sleep(3600)
    (bench.root / "new.txt").write_text("new")
    (bench.root / "photo.jpg").write_bytes(os.urandom(300_000))
    return first, bench.take(signer=SIGNER, run="20261122T063100-3f9a1d")


def put(bench: Bench, key: str, body: bytes) -> None:
    bench.vault.put(key, body, replace=True)


@contextmanager
def undone(bench: Bench) -> Iterator[None]:
    """Take away every version, and mark of deletion, that was not there before."""
    before = {(one.key, one.version_id) for one in bench.vault.versions("v1/")}
    yield
    for one in list(bench.vault.versions("v1/")):
        if (one.key, one.version_id) not in before:
            bench.vault.delete(one.key, one.version_id)


class BlindVault:
    """A storage whose HEAD says what the manifest says, whatever it holds."""

    def __init__(self, vault, snapshot: Snapshot, *, signs: bool) -> None:
        self.signs = signs
        self._vault = vault
        self._said = {one.key: one for one in snapshot.segments}

    def __getattr__(self, name: str):
        return getattr(self._vault, name)

    def head(self, key: str):
        told = self._said.get(key)
        return StoredObject(key, told.bytes, told.sha256) if told else self._vault.head(key)


def flip(bench: Bench, key: str, chance: Random) -> None:
    body = bytearray(text(bench.vault, key))
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    put(bench, key, bytes(body))


def delete(bench: Bench, key: str, _chance: Random) -> None:
    bench.vault._client.delete_object(Bucket=bench.settings.bucket, Key=key)


def truncate(bench: Bench, key: str, chance: Random) -> None:
    body = text(bench.vault, key)
    put(bench, key, body[: chance.randrange(len(body))])


def swap(bench: Bench, key: str, chance: Random) -> str:
    ending = key.rpartition(".")[2] if key.endswith((".json", ".sig")) else ""
    alike = [one.key for one in bench.vault.keys("v1/") if one.key != key]
    alike = [one for one in alike if one.endswith(ending) and "README" not in one]
    other = chance.choice(alike)
    mine, theirs = text(bench.vault, key), text(bench.vault, other)
    put(bench, key, theirs)
    put(bench, other, mine)
    return other


def replace_by_an_older_one(bench: Bench, key: str, chance: Random) -> None:
    """Put another good object of the same kind there, as an attacker who kept copies would."""
    kind = key.split("/")[3]
    others = [one.key for one in bench.vault.keys("v1/") if one.key.split("/")[3:4] == [kind]]
    others = [one for one in others if one != key and one.endswith(key.rpartition(".")[2])]
    others = [one for one in others if text(bench.vault, one) != text(bench.vault, key)]
    put(bench, key, text(bench.vault, chance.choice(others)) if others else b"")


def edit(bench: Bench, key: str, chance: Random) -> None:
    """Change a manifest so that it is one still; of others, a byte."""
    if not key.endswith(".json"):
        flip(bench, key, chance)
        return
    data = json.loads(text(bench.vault, key))
    change = chance.choice(["label", "suspect", "streams", "sum", "started_at"])
    match change:
        case "label":
            data["label"] = "harmless"
        case "suspect":
            data["suspect"] = ["nothing"]
        case "streams":
            data["streams"] = data["streams"][:-1]
        case "sum":
            data["streams"][0]["segments"][0]["sha256"] = "0" * 64
        case _:
            data["started_at"] = "2031-01-01T00:00:00Z"
    put(bench, key, json.dumps(data, indent=1, sort_keys=True).encode())


def sign_as_a_stranger(bench: Bench, key: str, chance: Random) -> None:
    manifest = key.removesuffix(SUFFIX)
    if manifest.endswith(".json"):
        put(bench, manifest + SUFFIX, STRANGER.sign(text(bench.vault, manifest)))
    else:
        flip(bench, key, chance)


DAMAGES: tuple[Callable[[Bench, str, Random], str | None], ...] = (
    flip, delete, truncate, swap, replace_by_an_older_one, edit, sign_as_a_stranger,
)  # fmt: skip
