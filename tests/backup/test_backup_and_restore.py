"""A backup is sealed only when it is whole, and it brings the site back as it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.backup.conftest import ODD_NAMES, SEGMENT, Bench, make_environment

from opsplay.core import snapshot as manifest
from opsplay.core.action import Store
from opsplay.core.errors import InvalidInput
from opsplay.core.vault import VaultSettings
from opsplay.engine.snapshots import snapshots, verify_listing
from opsplay.engine.trust import Trust, find
from opsplay.vaults import open_vault

pytestmark = pytest.mark.real


def test_a_destroyed_site_comes_back_as_it_was(bench: Bench):
    before = bench.fingerprint()
    snapshot = bench.take()
    bench.destroy()

    bench.restore(snapshot)

    assert bench.fingerprint() == before
    assert all((bench.root / name).exists() for name in ODD_NAMES)
    assert not (bench.root / "closed").exists()
    assert bench.spools == []


def test_what_was_added_after_the_backup_is_gone_after_the_restore(bench: Bench):
    before = bench.fingerprint()
    snapshot = bench.take()
    (bench.root / "malware.php").write_text("x")
    bench.mariadb.sql("DELETE FROM orders WHERE id > 10", bench.database)

    bench.restore(snapshot)

    assert bench.fingerprint() == before


def test_the_manifest_tells_what_the_storage_holds(bench: Bench):
    snapshot = bench.take(store=Store(label="before-update"))

    held = {one.key: one for one in bench.vault.keys(f"v1/{bench.site.name}/")}
    for segment in snapshot.segments:
        body = b"".join(bench.vault.get(segment.key))
        assert (len(body), hashlib.sha256(body).hexdigest()) == (segment.bytes, segment.sha256)
    assert set(held) == {
        *(segment.key for segment in snapshot.segments),
        snapshot.key,
        f"v1/{bench.site.name}/README.txt",
    }
    assert len(snapshot.segments) > 4
    assert {segment.bytes for segment in snapshot.segments[:2]} == {SEGMENT}
    assert snapshot.restore_order == ("database", "files-00", "files-01")
    assert [stream.trailer_ok for stream in snapshot.streams] == [True, None, None]
    assert snapshot.streams[0].exit_codes == {"src": 0, "tee": 0, "comp": 0, "enc": 0}
    assert (snapshot.label, snapshot.kind, snapshot.chain) == ("before-update", "full", "2026-11")
    assert "age" in snapshot.host.tools


def test_sealed_snapshots_are_listed_newest_last_and_chained(bench: Bench):
    first = bench.take()
    bench.clock.sleep(3600 * 24 * 30)
    second = bench.take()

    assert snapshots(bench.vault, bench.site.name) == (first, second)
    assert first.previous_snap_sha256 == ""
    assert second.previous_snap_sha256 == manifest.sha256(first)
    anybody = Trust((), bench.clock.now())
    assert find(bench.vault, bench.site.name, "last", anybody) == second
    assert find(bench.vault, bench.site.name, first.snap, anybody) == first
    assert verify_listing(bench.vault, second) == ()


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_vault_that_cannot_sign_gets_its_bytes_relayed(bench: Bench, tmp_path: Path, kind: str):
    before = bench.fingerprint()
    settings = VaultSettings(bench.site.name, kind, folder=str(tmp_path / "vault"))
    vault = open_vault(settings)
    snapshot = bench.take(vault=vault)
    bench.destroy()

    bench.restore(snapshot, vault=vault)

    assert bench.fingerprint() == before


def test_a_host_without_zstd_and_curl_is_backed_up_all_the_same(
    bench: Bench, monkeypatch, tmp_path
):
    before = bench.fingerprint()
    poor = tmp_path / "bin"
    poor.mkdir()
    for tool in _TOOLS.split():
        (poor / tool).symlink_to(next(p for p in _places(tool) if p.exists()))
    monkeypatch.setenv("PATH", str(poor))
    snapshot = bench.take()
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(bench.home))
    bench.destroy()

    assert {stream.compression for stream in snapshot.streams} == {"gzip", "none"}
    assert snapshot.host.tools["curl"] == ""
    bench.restore(snapshot)
    assert bench.fingerprint() == before


_TOOLS = """sh dd tee sha256sum wc tail sed grep cat rm mkdir mkfifo uname tr gzip age tar
mariadb-dump base64 find xargs"""


def _places(tool: str) -> list[Path]:
    return [Path(folder) / tool for folder in ("/usr/bin", "/bin", "/usr/sbin")]


def test_only_what_is_asked_for_is_saved_and_brought_back(bench: Bench):
    before = bench.fingerprint()
    files = bench.take(store=Store(include=("files",), exclude=("photo.jpg",)))
    bench.mariadb.sql("DELETE FROM orders", bench.database)
    (bench.root / "run.sh").unlink()
    bench.restore(files, include=["files"])

    assert [stream.name for stream in files.streams] == ["files-00"]
    assert files.source.excludes == ("photo.jpg",)
    assert set(before[0]) - set(bench.fingerprint()[0]) == {"photo.jpg"}
    assert bench.mariadb.sql("SELECT COUNT(*) FROM orders", bench.database).strip() == "0"
    with pytest.raises(InvalidInput, match="holds files, not database"):
        bench.restore(files)


def test_another_environment_keeps_its_own_configuration_and_is_made_safe(bench: Bench, tmp_path):
    staging = make_environment(tmp_path / "www", "staging", bench.mariadb, filled=False)
    own = (Path(staging.root) / "config.cnf").read_text()
    site = _with(bench.site, staging)
    snapshot = bench.take()

    bench.restore(snapshot, site=site.at("staging"))

    root, database = Path(staging.root), own.split()[2]
    assert (root / "config.cnf").read_text() == own
    assert (root / "cloned-from").read_text().strip() == "https://production.shop.test"
    assert bench.mariadb.checksums(database) == bench.mariadb.checksums(bench.database)


def _with(site, environment):
    from dataclasses import replace

    return replace(site, environments={**site.environments, environment.name: environment})


def test_the_site_is_closed_while_it_is_restored_and_opened_last(bench: Bench):
    snapshot = bench.take()
    bench.restore(snapshot)

    diary = Path(f"{bench.root}.diary").read_text().split()
    assert diary == ["close", "close", "open"]


def test_a_door_that_somebody_keeps_stays_closed(bench: Bench):
    snapshot = bench.take()
    bench.restore(snapshot, door="ab" * 32)

    assert (bench.root / "closed").read_text().strip() == "ab" * 32


def test_progress_is_told(bench: Bench):
    seen: list[tuple[str, float, float]] = []
    snapshot = bench.take(progress=lambda _site, *what: seen.append(what))
    bench.restore(snapshot, progress=lambda _site, *what: seen.append(what))

    stored = float(sum(stream.stored_bytes for stream in snapshot.streams[1:]))
    assert ("backup of the files", stored, 0.0) in seen
    told = [one for one in seen if one[0].startswith("restore of the")]
    assert told[-1][1] == told[-1][2] > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"store": Store(include=("files", "mail"))}, "not .'mail'"),
        ({"store": Store(include=())}, "not nothing"),
        ({"segment_bytes": 1000}, "multiple of 65536"),
        ({"settings": VaultSettings("v", "memory")}, "nobody could decrypt"),
    ],
)
def test_a_backup_that_makes_no_sense_is_refused_before_anything_is_asked(bench, changes, says):
    transport = bench.transport

    with pytest.raises(InvalidInput, match=says):
        bench.take(transport=transport, **changes)
    assert transport.counters.round_trips == 0


def test_the_manifest_in_the_vault_is_the_snapshot(bench: Bench):
    snapshot = bench.take()
    text = b"".join(bench.vault.get(snapshot.key))

    assert manifest.from_json(text) == snapshot
    assert json.loads(text)["streams"][0]["segments"][0]["sha256"]
