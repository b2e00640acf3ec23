"""A site comes back from Ceph, which knows MD5 in place of SHA-256 and overwrites what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.backup.conftest import Bench
from tests.vaults.ceph import Ceph, missing, running

from opsplay.engine.snapshots import verify_listing
from opsplay.kit.clock import FrozenClock
from opsplay.vaults import open_vault

pytestmark = [
    pytest.mark.real,
    pytest.mark.proof,
    pytest.mark.skipif(bool(missing()), reason=f"Ceph is not installed: no {' '.join(missing())}"),
]


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    with running(Path(tmp_path_factory.mktemp("ceph"))) as server:
        yield server


def test_a_locked_backup_on_ceph_is_confirmed_by_md5_and_restored(bench: Bench, ceph: Ceph):
    bench.clock = FrozenClock(datetime.now(UTC))  # a lock must end in the future
    keys = ("endpoint", "bucket", "access_key", "secret_key")
    on_ceph = ceph.settings()
    changes = {key: getattr(on_ceph, key) for key in keys}
    bench.settings = replace(bench.settings, lock="governance", **changes)
    vault = open_vault(bench.settings)
    before = bench.fingerprint()

    snapshot = bench.take(vault=vault)
    bench.destroy()
    bench.restore(snapshot, vault=vault)

    assert bench.fingerprint() == before
    assert verify_listing(vault, snapshot) == ()
    assert all(segment.md5 and segment.retain_until for segment in snapshot.segments)
