"""Large backups travel in two lanes at once: whole together, or not at all."""

from __future__ import annotations

import pytest
from tests.backup.conftest import Bench
from tests.backup.fault_proxy import FaultProxy

from opsplay.core.errors import VaultRefused
from opsplay.engine import store_files, store_packs
from opsplay.engine.snapshots import snapshots, verify_listing
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real


@pytest.fixture
def bench(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a site whose packs are worth two lanes."""
    for module in (store_packs, store_files):
        monkeypatch.setattr(module, "WORTH_TWO_LANES", 1)
    for number in range(6):
        folder = bench.root / f"folder-{number}"
        folder.mkdir()
        (folder / "photo.jpg").write_bytes(bytes([number]) * 300_000)
    return bench


class Counting(LocalTransport):
    """Remembers the spools of what is open at the same time."""

    def __init__(self, host) -> None:
        super().__init__(host)
        self.scripts: list[str] = []

    def open(self, script: str):
        self.scripts.append(script)
        return super().open(script)


def test_packs_of_two_lanes_come_back_as_they_were(bench: Bench):
    transport = Counting(bench.site.here.host)

    snapshot = bench.take(transport=transport, pack_bytes=400_000)

    lanes = [script for script in transport.scripts if "@production+1" in script]
    hashing = [script for script in transport.scripts if "hash_php=" in script]
    assert (len(lanes), len(hashing)) == (1, 2)
    assert [one.name for one in snapshot.streams] == sorted(one.name for one in snapshot.streams)
    assert len(snapshot.streams) > 4
    assert verify_listing(bench.vault, snapshot) == ()
    assert bench.spools == []
    before = bench.fingerprint()
    bench.destroy()
    bench.restore(snapshot)
    assert bench.fingerprint() == before


def test_when_one_lane_fails_the_other_ends_and_the_reason_is_told(bench: Bench, proxy: FaultProxy):
    proxy.rule = lambda asked: "403" if asked.method == "PUT" and "-03-" in asked.path else ""

    with pytest.raises(VaultRefused, match="refused") as caught:
        bench.take(vault=bench.through(proxy), pack_bytes=400_000)

    assert "another pack" not in str(caught.value)
    assert snapshots(bench.vault, bench.site.name) == ()
    assert bench.spools == []


def test_what_a_killed_lane_left_is_cleared_away_by_a_backup_in_one_lane(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store_packs, "WORTH_TWO_LANES", 1 << 40)
    left = bench.home / ".opsplay/spool" / f"{bench.site.name}@production+1@999999999"
    left.mkdir(parents=True)
    (left / "segment.0").write_bytes(b"half")

    bench.take()

    assert bench.spools == []
