"""Later backups of a month hold what changed, and a restore of any of them needs only itself."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.backup.conftest import Bench, make_environment
from tests.backup.vault_reading import in_memory, listed, names, on_disk, rebuilt

from opsplay.core.action import Store
from opsplay.core.index import Index, to_text
from opsplay.core.snapshot import Snapshot
from opsplay.engine.signature import SUFFIX, Signer, new_private_key, signed_by
from opsplay.engine.snapshots import snapshots, verify_listing
from opsplay.engine.store_same import Same
from opsplay.engine.store_survey import survey
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real

FILES = Store(include=("files",))
DAY = 24 * 3600


@pytest.fixture
def bench(bench: Bench) -> Bench:
    return in_memory(bench)


def take(bench: Bench, **changes) -> Snapshot:
    """Take a backup of the files alone, a day after the one before."""
    bench.clock.sleep(DAY)
    return bench.take(**{"store": FILES} | changes)


def own(snapshot: Snapshot) -> list[str]:
    return [stream.name for stream in snapshot.streams if not stream.snap]


def packed_anew(bench: Bench, snapshot: Snapshot) -> set[str]:
    streams = (stream for stream in snapshot.streams if not stream.snap)
    return {name for stream in streams for name in names(bench, stream)}


def test_a_full_backup_holds_every_entry_once_and_says_why(bench: Bench):
    snapshot = take(bench)

    assert (snapshot.kind, snapshot.base) == ("full", ())
    assert "first of 2026-11" in snapshot.full_because
    assert own(snapshot) == ["files-00", "files-01"]
    assert [one.compression for one in snapshot.streams] == ["zstd", "none"]
    assert names(bench, snapshot.streams[1]) == ["photo.jpg"]
    assert rebuilt(bench, snapshot) == on_disk(bench.root)
    assert snapshot.index.added == snapshot.index.files == len(on_disk(bench.root))


def test_an_unchanged_site_costs_an_index_and_a_manifest(bench: Bench):
    first = take(bench)
    before = {one.key for one in bench.vault.keys(f"v1/{bench.site.name}/2026-11/pack/")}
    transport = bench.transport
    second = take(bench, transport=transport)

    after = {one.key for one in bench.vault.keys(f"v1/{bench.site.name}/2026-11/pack/")}
    assert after == before
    assert transport.counters.round_trips == 1
    assert (second.kind, second.base, own(second)) == ("incr", (first.snap,), [])
    assert [one.name for one in second.streams] == [f"{first.snap}/files-0{n}" for n in (0, 1)]
    assert second.added_bytes == second.index.segment.bytes < 5000
    assert second.stored_bytes > 400_000
    assert (second.index.added, second.index.changed, second.index.removed) == (0, 0, 0)
    assert rebuilt(bench, second) == on_disk(bench.root)
    assert verify_listing(bench.vault, second) == ()


def test_a_file_that_is_as_it_was_is_not_even_read(bench: Bench):
    (bench.root / "back\\slash\n").write_text("odd")
    rows = listed(bench, take(bench)).values()
    same = Same(Index(to_text(rows)))
    found = survey(bench.transport, str(bench.root), ":", passed_over=same)

    assert {entry.kind for entry in found.entries} == {"dir", "link"}
    assert set(same.paths) == {entry.path for entry in rows if entry.kind == "file"}


def test_only_what_changed_is_packed_and_unneeded_packs_are_let_go(bench: Bench):
    first = take(bench)
    (bench.root / "photo.jpg").write_bytes(os.urandom(300_000))
    (bench.root / "new dir").mkdir()
    (bench.root / "new dir" / "page.html").write_text("new")
    (bench.root / "run.sh").chmod(0o700)
    (bench.root / "with space").unlink()
    second = take(bench)

    assert packed_anew(bench, second) == {"photo.jpg", "new dir", "new dir/page.html", "run.sh"}
    inherited = [one.name for one in second.streams if one.snap]
    assert inherited == [f"{first.snap}/files-00"]
    assert (second.index.added, second.index.changed, second.index.removed) == (2, 2, 1)
    assert rebuilt(bench, second) == on_disk(bench.root)
    assert rebuilt(bench, first) != on_disk(bench.root)


@pytest.mark.proof
def test_a_third_backup_inherits_from_both_before(bench: Bench):
    first = take(bench)
    (bench.root / "second.txt").write_text("second")
    second = take(bench)
    (bench.root / "third.txt").write_text("third")
    third = take(bench)

    assert third.base == (first.snap, second.snap)
    assert packed_anew(bench, third) == {"third.txt"}
    assert rebuilt(bench, third) == on_disk(bench.root)
    before = on_disk(bench.root)
    bench.destroy()
    bench.restore(third, include=["files"])
    assert on_disk(bench.root, "closed") == before


@pytest.mark.proof
def test_each_month_begins_with_a_full_one(bench: Bench):
    take(bench)
    bench.clock.sleep(20 * DAY)
    december = take(bench)

    assert (december.chain, december.kind, december.base) == ("2026-12", "full", ())
    assert own(december) == ["files-00", "files-01"]


@pytest.mark.proof
def test_full_saves_everything_anew(bench: Bench):
    take(bench)
    again = take(bench, store=replace(FILES, full=True))

    assert (again.kind, own(again)) == ("full", ["files-00", "files-01"])
    assert "full: true" in again.full_because


def test_a_site_that_moved_to_another_disk_is_not_packed_again(bench: Bench):
    first = take(bench)
    shutil.copytree(bench.root, bench.home / "moved", symlinks=True)
    shutil.rmtree(bench.root)
    (bench.home / "moved").rename(bench.root)
    for path in bench.root.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    second = take(bench)

    assert (own(second), second.base) == ([], (first.snap,))
    assert (second.index.added, second.index.changed) == (0, 0)
    assert second.consistency.code_changed == ()
    third = take(bench)
    assert third.index.raw_sha256 == second.index.raw_sha256


def test_what_becomes_something_else_is_saved_as_what_it_is(bench: Bench):
    take(bench)
    (bench.root / "run.sh").unlink()
    (bench.root / "run.sh").mkdir()
    (bench.root / "empty").rmdir()
    (bench.root / "empty").symlink_to("elsewhere")
    (bench.root / "link").unlink()
    (bench.root / "link").write_text("a file now")
    second = take(bench)

    assert packed_anew(bench, second) == {"run.sh", "empty", "link"}
    assert rebuilt(bench, second) == on_disk(bench.root)


def test_odd_names_survive_the_index_and_the_packs(bench: Bench):
    odd = [
        b"\xe9t\xe9.php",
        b"back\\slash",
        b"back\\nslash",
        b"tab\there",
        b" leading",
        b"trailing ",
    ]
    odd += [b"--checkpoint-action=exec=sh", b"new\n\nlines\n", b"*", b"[a]", b"q\"'$(x)", b"=00"]
    for name in odd:
        Path(os.fsdecode(bytes(bench.root) + b"/" + name)).write_bytes(name)
    folder = Path(os.fsdecode(bytes(bench.root) + b"/d\xefr\n"))
    folder.mkdir()
    (folder / "-x").write_text("x")
    first = take(bench)
    assert rebuilt(bench, first) == on_disk(bench.root)

    for name in odd[::2]:
        Path(os.fsdecode(bytes(bench.root) + b"/" + name)).write_bytes(b"changed")
    second = take(bench)

    assert packed_anew(bench, second) == {os.fsdecode(name) for name in odd[::2]}
    assert rebuilt(bench, second) == on_disk(bench.root)


def test_names_of_one_file_come_out_of_their_packs_alone(bench: Bench):
    os.link(bench.root / "run.sh", bench.root / "a" / "same.sh")
    first = take(bench)
    (bench.root / "a" / "same.sh").unlink()
    second = take(bench)

    assert rebuilt(bench, first)["a/same.sh"] == rebuilt(bench, first)["run.sh"]
    assert rebuilt(bench, second) == on_disk(bench.root)


def test_sockets_are_listed_and_not_saved(bench: Bench):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(bench.root / "php.sock"))
        snapshot = take(bench)

    assert listed(bench, snapshot)["php.sock"].kind == "other"
    assert "php.sock" not in rebuilt(bench, snapshot)


class Meddling(LocalTransport):
    """A site that changes right before a certain script runs on its host."""

    def __init__(self, host, mark: str, at: int, meddle: Callable[[], object]) -> None:
        super().__init__(host)
        self.mark, self.at, self.meddle = mark, at, meddle

    def open(self, script: str):
        if self.mark in script:
            self.at -= 1
            if self.at == 0:
                self.meddle()
        return super().open(script)


SURVEY, HASH, PACK = "survey_php=", "hash_php=", "block="


@pytest.mark.parametrize("mark", [HASH, PACK])
def test_a_file_that_vanishes_meanwhile_is_named_and_not_listed(bench: Bench, mark: str):
    gone = bench.root / "with space"
    snapshot = take(bench, transport=Meddling(bench.site.here.host, mark, 1, gone.unlink))

    assert snapshot.consistency.vanished == ("with space",)
    assert "with space" not in listed(bench, snapshot)
    assert rebuilt(bench, snapshot) == on_disk(bench.root)


def test_a_file_that_changes_while_it_is_packed_is_named_and_saved_again_next_time(bench: Bench):
    log = bench.root / "run.sh"

    def grow() -> None:
        log.write_text("#!/bin/sh\nmore\n")

    first = take(bench, transport=Meddling(bench.site.here.host, SURVEY, 2, grow))
    second = take(bench)

    assert first.consistency.changing == ("run.sh",)
    assert listed(bench, first)["run.sh"].sha256 == ""
    assert packed_anew(bench, second) == {"run.sh"}
    assert second.consistency.changing == ()
    assert rebuilt(bench, second) == on_disk(bench.root)


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_saved(bench: Bench, monkeypatch):
    shims = bench.home / "shims"
    shims.mkdir()
    (shims / "openssl").write_text(
        '#!/bin/sh\n/usr/bin/openssl "$@" | grep -v photo.jpg\n'  # as if it had been refused
    )
    (shims / "openssl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}:/usr/sbin:/usr/bin:/sbin:/bin")
    snapshot = take(bench)

    assert snapshot.consistency.unreadable == ("photo.jpg",)
    entry = listed(bench, snapshot)["photo.jpg"]
    assert (entry.pack, entry.sha256) == ("", "")
    assert rebuilt(bench, snapshot) == on_disk(bench.root, "photo.jpg")


def test_a_backup_of_the_database_alone_is_no_base_and_breaks_no_chain(bench: Bench):
    first = take(bench)
    between = take(bench, store=Store(include=("database",)))
    third = take(bench)

    assert (between.kind, between.index, between.parts) == ("full", None, ("database",))
    assert third.base == (first.snap,)
    assert third.previous_snap_sha256 != ""


@pytest.mark.proof
def test_database_and_files_travel_together(bench: Bench):
    first = take(bench, store=Store())
    bench.mariadb.sql("DELETE FROM orders WHERE id > 100", bench.database)
    (bench.root / "run.sh").write_text("changed")
    before = bench.fingerprint()
    second = take(bench, store=Store(), watermarks=lambda: {"orders": "100"})
    bench.destroy()
    bench.restore(second)

    assert second.parts == ("database", "files")
    assert second.restore_order[:2] == ("database", "files-00")
    assert second.consistency.watermarks == {"orders": "100"}
    assert first.consistency.watermarks == {}
    assert bench.fingerprint() == before


def test_other_excludes_begin_anew(bench: Bench):
    take(bench)
    second = take(bench, store=replace(FILES, exclude=("photo.jpg", "a")))

    assert second.kind == "full"
    assert set(on_disk(bench.root)) - set(rebuilt(bench, second)) == {
        "photo.jpg",
        "a",
        "a/b",
        "a/b/.hidden",
    }


def two_environments(bench: Bench, tmp_path: Path):
    staging = make_environment(tmp_path / "www", "staging", bench.mariadb, filled=False)
    environments = {**bench.site.environments, "staging": staging}
    return replace(bench.site, environments=environments)


@pytest.mark.proof
def test_another_environment_is_never_built_upon(bench: Bench, tmp_path: Path):
    site = two_environments(bench, tmp_path)
    take(bench, site=site)
    staging = take(bench, site=site.at("staging"))
    again = take(bench, site=site)

    assert (staging.kind, again.kind) == ("full", "incr")
    assert set(rebuilt(bench, staging)) == {"config.cnf"}


def test_two_environments_are_backed_up_at_the_same_time(bench: Bench, tmp_path: Path):
    site = two_environments(bench, tmp_path)
    bench.clock.sleep(DAY)

    def one(name: str) -> Snapshot:
        return bench.take(store=Store(), site=site.at(name), run=f"20261122T053100-{name}")

    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(one, ("production", "staging")))

    assert list(snapshots(bench.vault, site.name)) == sorted(taken, key=lambda one: one.snap)
    assert [verify_listing(bench.vault, snapshot) for snapshot in taken] == [(), ()]
    assert rebuilt(bench, taken[0]) == on_disk(bench.root)
    assert bench.spools == []


class Kept(dict):
    """Indexes in memory."""

    load = dict.get
    save = dict.__setitem__


def test_a_controller_without_an_identity_builds_on_its_own_copy_of_the_index(bench: Bench):
    blind, kept = replace(bench.settings, identity=None), Kept()
    take(bench, settings=blind, indexes=kept)
    second = take(bench, settings=blind, indexes=kept)
    forgetful = take(bench, settings=blind, indexes=Kept())

    assert (second.kind, forgetful.kind) == ("incr", "full")
    assert "not on this machine" in forgetful.full_because


def test_a_copy_of_the_index_that_was_changed_is_not_believed(bench: Bench):
    kept = Kept()
    first = take(bench, indexes=kept)
    kept[first.index.raw_sha256] = b"#opsplay-index 1\n#end 0\n"
    second = take(bench, indexes=kept)

    assert (second.kind, own(second)) == ("incr", [])


def test_a_pack_that_is_missing_is_not_built_upon(bench: Bench):
    first = take(bench)
    lost = first.streams[0].segments[0].key
    bench.vault.delete(lost)
    second = take(bench)

    assert (second.kind, own(second)) == ("full", ["files-00", "files-01"])
    assert f"such as {lost}" in second.full_because
    assert rebuilt(bench, second) == on_disk(bench.root)


@pytest.mark.proof
def test_new_keys_begin_anew(bench: Bench):
    import pyrage

    take(bench)
    other = str(pyrage.x25519.Identity.generate().to_public())
    recipients = (*bench.settings.recipients, other)
    second = take(bench, settings=replace(bench.settings, recipients=recipients))

    assert (second.kind, len(second.recipients)) == ("full", 2)
    assert "keys" in second.full_because


def test_a_manifest_that_cannot_be_read_stops_no_backup(bench: Bench):
    first = take(bench)
    bench.vault.put(f"v1/{bench.site.name}/2026-11/snap/20261130T000000-future.json", b"{}")
    second = take(bench)

    assert second.base == (first.snap,)


def test_manifests_are_signed_before_they_are_seen(bench: Bench):
    signer = Signer.of(new_private_key())
    snapshot = take(bench, signer=signer)

    body = b"".join(bench.vault.get(snapshot.key))
    signature = b"".join(bench.vault.get(f"{snapshot.key}{SUFFIX}"))
    assert signed_by(body, signature, [signer.public]) == signer.public
    assert snapshots(bench.vault, bench.site.name) == (snapshot,)


def test_everything_that_is_stored_is_locked_as_long_as_the_plan_says(bench: Bench):
    bench.settings = replace(bench.settings, lock="governance")
    first = take(bench, plan="business")
    (bench.root / "run.sh").write_text("changed")
    second = take(bench, plan="business")

    month, day = "2027-12-23", "2026-12-29"  # thirteen months; five weeks
    assert {f"{one.retain_until:%Y-%m-%d}" for one in first.segments} == {month}
    assert f"{second.index.segment.retain_until:%Y-%m-%d}" == day
    packs = [one for one in second.streams if not one.snap]
    assert {f"{one.retain_until:%Y-%m-%d}" for one in packs[0].segments} == {"2027-01-26"}
    assert f"{bench.vault.head(second.key).retain_until:%Y-%m-%d}" == day
    assert second.plan == "business"
