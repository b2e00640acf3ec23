"""Verification finds damage and names the object; a restore refuses; nothing unsigned is believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
from tests.backup.conftest import Bench

from opsplay.app import keeping
from opsplay.core.errors import InvalidInput, OpsplayError, VaultRefused
from opsplay.core.snapshot import Snapshot, to_json
from opsplay.core.verdict import Verdict
from opsplay.engine.signature import SUFFIX, Signer, new_private_key
from opsplay.engine.snapshots import load, text
from opsplay.engine.verify import Verification, Verified
from opsplay.engine.verify_known import known, write_verdict
from opsplay.engine.verify_read import Reading

pytestmark = pytest.mark.real
SIGNER = Signer.of(new_private_key())
STRANGER = Signer.of(new_private_key())
TRUSTED = (SIGNER.public,)
ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "10"))


def verification(bench: Bench, **changes) -> Verification:
    reading = Reading(bench.vault, bench.settings, bench.transport, bench.clock, lambda *_: None)
    settings = {"signer": None, "trusted": TRUSTED, "reading": reading} | changes
    return Verification(bench.vault, bench.site.name, bench.clock, **settings)


def two_backups(bench: Bench) -> tuple[Snapshot, Snapshot]:
    """Take a full backup and an increment on it, both signed."""
    first = bench.take(signer=SIGNER)
    bench.clock.sleep(3600)
    (bench.root / "new.txt").write_text("new")
    (bench.root / "photo.jpg").write_bytes(os.urandom(300_000))
    return first, bench.take(signer=SIGNER, run="20261122T063100-3f9a1d")


def named(found: Verified) -> set[str]:
    """Return the keys that a verification blames."""
    return {
        one.key for one in (*found.damage, *(d for v in found.verdicts for d in v.damage))
    }  # fmt: skip


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


def test_whole_backups_are_good_at_levels_one_and_two_and_remembered_so(bench: Bench):
    first, second = two_backups(bench)

    listed = verification(bench, signer=SIGNER).at(1)
    bench.clock.sleep(60)
    read = verification(bench, signer=SIGNER).at(2)

    assert listed.good, listed
    assert read.good, read
    assert [one.level for one in listed.verdicts] == [1, 1]
    assert [(one.snap, one.level) for one in read.verdicts] == [(first.snap, 1), (second.snap, 2)]
    backups = known(bench.vault, bench.site.name, TRUSTED).backups
    assert [one.proved.level for one in backups] == [1, 2]
    assert all(one.good for one in backups)


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


def assert_found_and_refused(
    bench: Bench, snapshot: Snapshot, key: str, told: str, other: str | None = None
) -> None:
    """Check it; `other`: was damaged as well, and may be all that is left to be seen."""
    blamed = named(verification(bench).at(1))
    both = [one for one in (key, other) if one]
    # A manifest and its signature are one.
    beside = {name for one in both for name in (one, one.removesuffix(SUFFIX), one + SUFFIX)}
    assert blamed & beside, f"{told}: blamed are {sorted(blamed)}"
    with pytest.raises(OpsplayError) as refused:
        bench.restore(load(bench.vault, snapshot.key), trusted=TRUSTED)
    assert any(one in str(refused.value) for one in beside), f"{told}: {refused.value}"


@pytest.mark.proof
@pytest.mark.soak
@pytest.mark.timeout(120 + 30 * ROUNDS)
def test_after_random_damage_verify_names_the_object_and_restore_refuses(bench: Bench):
    """OPSPLAY_SOAK_ROUNDS sets how often."""
    _, snapshot = two_backups(bench)
    seed = int.from_bytes(os.urandom(4))
    chance = Random(seed)
    keys = [segment.key for segment in snapshot.segments]
    keys += [snapshot.key, snapshot.key + SUFFIX] * max(1, len(keys) // 6)
    files = sorted(bench.root.rglob("*"))
    for number in range(ROUNDS):
        damage, key = chance.choice(DAMAGES), chance.choice(keys)
        with undone(bench):
            other = damage(bench, key, chance)
            told = f"seed {seed}, round {number}: {damage.__name__} {key}"
            assert_found_and_refused(bench, snapshot, key, told, other)
    assert sorted(bench.root.rglob("*")) == files
    assert verification(bench).at(1).good, "all was put back"


@pytest.mark.proof
def test_no_kind_of_damage_to_a_seal_goes_unseen(bench: Bench):
    _, snapshot = two_backups(bench)

    for key in (snapshot.key, snapshot.key + SUFFIX):
        for damage in DAMAGES:
            with undone(bench):
                other = damage(bench, key, Random(7))
                told = f"{damage.__name__} {key}"
                assert_found_and_refused(bench, snapshot, key, told, other)


def lying(bench: Bench, snapshot: Snapshot, changed: Snapshot) -> Snapshot:
    """Seal a manifest that says something else than is there, as after a host's lie."""
    body = to_json(changed)
    put(bench, snapshot.key + SUFFIX, SIGNER.sign(body))
    put(bench, snapshot.key, body)
    return changed


def with_stream(snapshot: Snapshot, part: str, **changes) -> Snapshot:
    streams = tuple(
        replace(one, **changes) if one.part == part and not one.snap else one
        for one in snapshot.streams
    )
    return replace(snapshot, streams=streams)


LIES = (
    ("database", {"raw_sha256": "0" * 64}, "other plain bytes than were saved"),
    ("database", {"raw_bytes": 17}, "in place of 17"),
    ("files", {"raw_sha256": "0" * 64}, "other plain bytes than were saved"),
    ("files", {"compression": "gzip"}, "cannot be decompressed"),
    ("files", {"compression": "none"}, "is no whole tar archive"),
)


def test_some_damage_is_found_and_refused(bench: Bench):
    """One of each place; the proofs go through all kinds at random."""
    _, snapshot = two_backups(bench)
    pack = snapshot.segments[-2].key

    for damage, key in ((flip, pack), (delete, snapshot.key), (edit, snapshot.key)):
        with undone(bench):
            damage(bench, key, Random(7))
            assert_found_and_refused(bench, snapshot, key, damage.__name__)


def test_what_only_reading_shows_is_found_at_level_two(bench: Bench):
    snapshot = bench.take(signer=SIGNER)

    for part, changes, words in LIES:
        changed = lying(bench, snapshot, with_stream(snapshot, part, **changes))
        listed, read = verification(bench).at(1), verification(bench).at(2)

        assert listed.good
        (verdict,) = read.verdicts
        keys = {one.segments[0].key for one in changed.streams if one.part == part}
        assert words in " ".join(str(one) for one in verdict.damage), words
        assert {one.key for one in verdict.damage} <= keys


@pytest.mark.proof
def test_a_pack_that_lacks_what_the_index_promises_is_found(bench: Bench):
    """An index of a richer day over the packs of a poorer one: short, though each part is whole."""
    first, second = two_backups(bench)
    streams = tuple(one for one in second.streams if one.part == "database" or one.snap)
    lying(bench, second, replace(second, streams=streams))

    (_, verdict) = verification(bench).at(2).verdicts

    assert verdict.snap == second.snap
    assert {one.key for one in verdict.damage} == {second.key}
    assert "lacks the pack" in verdict.damage[0].what
    assert first.snap != second.snap


@pytest.mark.proof
def test_level_two_without_an_identity_says_what_is_missing(bench: Bench):
    bench.take(signer=SIGNER)
    blind = replace(bench.settings, identity=None)
    reading = Reading(bench.vault, blind, bench.transport, bench.clock, lambda *_: None)

    with pytest.raises(InvalidInput, match="identity"):
        verification(bench, reading=reading).at(2)


def test_levels_and_names_that_do_not_exist_are_refused(bench: Bench):
    with pytest.raises(InvalidInput, match="levels to verify at are 1, 2 and 3"):
        verification(bench).at(4)
    with pytest.raises(VaultRefused, match="holds no backup nothing"):
        verification(bench).at(1, "nothing")


@pytest.mark.proof
def test_a_strangers_verdict_is_not_believed(bench: Bench):
    bench.take(signer=SIGNER)
    (backup,) = known(bench.vault, bench.site.name, TRUSTED).backups
    verdict = Verdict(
        bench.site.name, backup.snapshot.snap, backup.manifest_sha256, 3, bench.clock.now()
    )

    write_verdict(bench.vault, backup.snapshot.folder, verdict, STRANGER)

    (backup,) = known(bench.vault, bench.site.name, TRUSTED).backups
    assert backup.proved is None


@pytest.mark.proof
def test_damage_stays_known_until_one_as_deep_finds_it_mended(bench: Bench):
    snapshot = bench.take(signer=SIGNER)
    verify = verification(bench, signer=SIGNER)
    key = snapshot.segments[0].key
    with undone(bench):
        delete(bench, key, Random(1))
        found = verify.at(2)
    write_verdict(bench.vault, snapshot.folder, found.verdicts[0], SIGNER)  # taken away as well
    (broken,) = known(bench.vault, bench.site.name, TRUSTED).backups

    bench.clock.sleep(1)
    verify.at(1)
    (mended,) = known(bench.vault, bench.site.name, TRUSTED).backups

    assert [one.key for one in broken.damage] == [key]
    assert not broken.good
    assert mended.damage == ()
    assert mended.proved.level == 1


def test_level_three_compares_the_newest_backup_with_the_living_site(bench: Bench):
    for number in range(20):
        (bench.root / f"page-{number}.html").write_text(f"page {number}")
    snapshot = bench.take(signer=SIGNER)
    workshop = SimpleNamespace(transport=lambda _host: bench.transport)
    compare = keeping._Comparison(workshop, bench.site, bench.vault, bench.settings)
    verify = verification(bench, compare=compare)
    same = verify.at(3)

    page = bench.root / "page-7.html"
    before = page.stat()
    page.write_text("PAGE 7")
    os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))
    forged = verify.at(3)
    for path in bench.root.glob("page-*.html"):
        path.write_text("defaced, and longer")
    defaced = verify.at(3)

    assert same.good, same
    assert [one.level for one in same.verdicts] == [3]
    ((wrong,),) = [one.damage for one in forged.verdicts]
    assert wrong.key == snapshot.index.segment.key
    assert "page-7.html, of the same size and time" in wrong.what
    assert any("that is too much" in one.what for one in defaced.verdicts[0].damage)
