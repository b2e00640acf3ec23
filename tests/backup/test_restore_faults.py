"""A damaged backup is never restored; a restore that fails says how things stand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyrage
import pytest
from tests.backup.conftest import Bench
from tests.backup.damage import BlindVault
from tests.backup.plain_cms import PlainCms

from opsplay.core.errors import (
    InvalidInput,
    StepFailed,
    UnreadableAnswer,
    VaultRefused,
)
from opsplay.core.snapshot import to_json
from opsplay.engine import restore
from opsplay.engine.snapshots import entries, snapshots, verify_listing
from opsplay.kit.secret import Secret

pytestmark = pytest.mark.real


def proof(*words: str) -> list[object]:
    return [pytest.param(word, marks=pytest.mark.proof) for word in words]


def damage(bench: Bench, key: str, how: str, other: str) -> None:
    body = b"".join(bench.vault.get(key))
    match how:
        case "flipped":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        case "cut":
            body = body[:-1]
        case "swapped":
            body = b"".join(bench.vault.get(other))
        case "deleted":
            client = bench.vault._client
            client.delete_object(Bucket=bench.settings.bucket, Key=key)
            return
    bench.vault.put(key, body, replace=True)


@pytest.mark.parametrize("how", ["flipped", "cut", "swapped", "deleted"])
def test_a_damaged_backup_is_named_and_nothing_is_touched(bench: Bench, how: str):
    snapshot = bench.take()
    key, other = snapshot.segments[1].key, snapshot.segments[0].key
    damage(bench, key, how, other)
    before = bench.fingerprint()

    with pytest.raises(VaultRefused, match=key) as caught:
        bench.restore(snapshot)

    assert "nothing had been changed" in caught.value.state
    assert bench.fingerprint() == before
    assert not Path(f"{bench.root}.diary").exists()
    assert len(verify_listing(bench.vault, snapshot)) == 1


@pytest.mark.parametrize("signs", [True, False], ids=["direct", "relay"])
@pytest.mark.parametrize("how", ["flipped", "cut", "swapped"])
def test_a_storage_that_lies_in_its_heads_is_found_out_by_the_bytes(bench, how: str, signs: bool):
    snapshot = bench.take()
    key, other = snapshot.streams[-1].segments[-1].key, snapshot.segments[0].key
    damage(bench, key, how, other)
    before = bench.fingerprint()

    with pytest.raises(VaultRefused, match=f"{key} is damaged") as caught:
        bench.restore(snapshot, vault=BlindVault(bench.vault, snapshot, signs=signs))

    assert "nothing had been changed" in caught.value.state
    assert bench.fingerprint() == before
    assert bench.spools == []


def test_a_manifest_that_promises_other_contents_is_found_out_by_the_host(bench: Bench):
    snapshot = bench.take()
    forged = dataclasses.replace(snapshot.streams[0], raw_sha256="ab" * 32)
    snapshot = dataclasses.replace(snapshot, streams=(forged, *snapshot.streams[1:]))
    before = bench.fingerprint()

    with pytest.raises(StepFailed, match="not what was saved"):
        bench.restore(snapshot)

    assert bench.fingerprint() == before


@pytest.mark.parametrize("host", ["gnu", *proof("busybox", "busybox-php")])
def test_what_an_archive_lacks_is_named_and_nothing_else(bench, userland, monkeypatch, host: str):
    snapshot = bench.take()
    index = entries(bench.vault, snapshot, bench.settings)
    known = next(one for one in index if one.path == "run.sh")
    ghost = dataclasses.replace(known, path="0-never-saved")
    monkeypatch.setattr(restore, "entries", lambda *_: (ghost, *index))
    userland.become(host)
    userland.link("zstd")
    before = bench.fingerprint()

    with pytest.raises(StepFailed, match=r"not what was saved: 0-never-saved\nstate") as caught:
        bench.restore(snapshot)

    assert "nothing had been changed" in caught.value.state
    assert bench.fingerprint() == before
    assert bench.spools == []


def test_the_wrong_key_restores_nothing(bench: Bench):
    snapshot = bench.take()
    other = Secret("file:other", lambda _reference: str(pyrage.x25519.Identity.generate()))
    before = bench.fingerprint()

    with pytest.raises(VaultRefused, match="cannot be read: No matching keys"):
        bench.restore(snapshot, settings=dataclasses.replace(bench.settings, identity=other))

    assert bench.fingerprint() == before


@pytest.mark.parametrize("text", ["", "AGE-SECRET-KEY-1NONSENSE"])
def test_without_a_key_no_restore_begins(bench: Bench, text: str):
    snapshot = bench.take()
    settings = dataclasses.replace(bench.settings, identity=Secret("env:X", lambda _: text))

    with pytest.raises(InvalidInput, match="identity"):
        bench.restore(snapshot, settings=settings)


def test_a_host_without_room_refuses_before_anything_is_changed(bench: Bench):
    snapshot = bench.take()
    huge = dataclasses.replace(snapshot.streams[0].segments[0], bytes=1 << 60)
    database = dataclasses.replace(snapshot.streams[0], segments=(huge,))
    held = dataclasses.replace(snapshot, streams=(database, *snapshot.streams[1:]))

    with pytest.raises(StepFailed, match=r"free, the restore needs .* TB"):
        bench.restore(held, vault=BlindVault(bench.vault, held, signs=True))

    assert not Path(f"{bench.root}.diary").exists()


def test_a_host_without_the_decompressor_refuses_before_anything_is_changed(bench, userland):
    snapshot = bench.take()
    userland.become("gnu")
    (userland.folder / "zstd").unlink()

    with pytest.raises(StepFailed, match="zstd is not installed"):
        bench.restore(snapshot)

    assert not Path(f"{bench.root}.diary").exists()


@pytest.mark.parametrize(
    ("method", "state"),
    [
        ("close_to_visitors", "may be closed"),
        ("unpack_files", "half restored"),
        ("load_database", "the files are restored, the database is not"),
        ("open_to_visitors", "files and database are restored"),
    ],
)
def test_a_switch_that_fails_says_how_things_stand(bench, monkeypatch, method: str, state: str):
    snapshot = bench.take()
    broken = lambda *_args, **_kw: "echo 'disk is full' >&2; exit 1"  # noqa: E731
    monkeypatch.setattr(PlainCms, method, broken)

    with pytest.raises(StepFailed, match="disk is full") as caught:
        bench.restore(snapshot)
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(bench.home))
    before = bench.fingerprint()
    bench.restore(snapshot)

    assert state in caught.value.state
    assert before != ()
    assert not (bench.root / "closed").exists()


def test_a_manifest_that_was_moved_is_refused(bench: Bench):
    snapshot = bench.take()
    bench.vault.put(snapshot.key.replace("2026-11/", "2026-12/"), to_json(snapshot))

    with pytest.raises(UnreadableAnswer, match="of another snapshot"):
        snapshots(bench.vault, bench.site.name)
