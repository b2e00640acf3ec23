"""Verification finds damage and names the object; nothing unsigned is believed."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random

import pytest
from tests.backup.conftest import Bench
from tests.backup.damage import SIGNER, STRANGER, TRUSTED, delete, put, two_backups, undone

from opsplay.core.errors import InvalidInput, VaultRefused
from opsplay.core.snapshot import Snapshot, to_json
from opsplay.core.verdict import Verdict
from opsplay.engine.signature import SUFFIX
from opsplay.engine.upkeep import Upkeep
from opsplay.engine.verify import Verification
from opsplay.engine.verify_known import known, write_verdict
from opsplay.engine.verify_read import Reading

pytestmark = pytest.mark.real


def verification(bench: Bench, **changes) -> Verification:
    reading = Reading(bench.vault, bench.settings, bench.transport, bench.clock, lambda *_: None)
    settings = {"signer": None, "trusted": TRUSTED, "reading": reading} | changes
    return Verification(bench.vault, bench.site.name, bench.clock, **settings)


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
    upkeep = Upkeep(
        bench.site, bench.vault, bench.settings, lambda: bench.vault, lambda _vault: SIGNER,
        lambda _vault: (SIGNER.public,), lambda _host: bench.transport, bench.clock, lambda *_: None,
    )  # fmt: skip
    same = upkeep.verify(3)

    page = bench.root / "page-7.html"
    before = page.stat()
    page.write_text("PAGE 7")
    os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))
    bench.clock.sleep(1)
    forged = upkeep.verify(3)
    for path in bench.root.glob("page-*.html"):
        path.write_text("defaced, and longer")
    bench.clock.sleep(1)
    defaced = upkeep.verify(3)

    assert same.good, same
    assert [one.level for one in same.verdicts] == [3]
    ((wrong,),) = [one.damage for one in forged.verdicts]
    assert wrong.key == snapshot.index.segment.key
    assert "page-7.html, of the same size and time" in wrong.what
    assert any("that is too much" in one.what for one in defaced.verdicts[0].damage)
