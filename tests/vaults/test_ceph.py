"""The S3 vault keeps its promises on Ceph too, which ignores SHA-256 and If-None-Match."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.vaults import ceph as cephs
from tests.vaults.ceph import Ceph, missing, running
from tests.vaults.contract import BODY, NEXT_WEEK, LockingContract, sha256
from tests.vaults.seaweed import known

from opsplay.core.enforcement import broken, weak
from opsplay.core.errors import VaultRefused
from opsplay.core.vault import Vault
from opsplay.kit.clock import SystemClock
from opsplay.vaults import open_vault
from opsplay.vaults.probing import probe
from opsplay.vaults.setting_up import admin_line, set_up

pytestmark = [
    pytest.mark.real,
    pytest.mark.proof,
    pytest.mark.skipif(bool(missing()), reason=f"Ceph is not installed: no {' '.join(missing())}"),
]
CLOCK = SystemClock()
KEY = "v1/shop/2026-11/db/one.age.00000"
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    with running(Path(tmp_path_factory.mktemp("ceph"))) as server:
        yield server


class TestCeph(LockingContract):
    sha256_told = False

    @pytest.fixture
    def vault(self, ceph: Ceph):
        return open_vault(ceph.settings())

    @pytest.fixture
    def locking(self, ceph: Ceph):
        return open_vault(replace(ceph.settings(), lock="governance"))

    def hide(self, vault: Vault, key: str):
        bucket = vault._bucket  # type: ignore[attr-defined]
        vault._client.delete_object(Bucket=bucket, Key=key)  # type: ignore[attr-defined]


def test_md5_takes_the_place_of_sha256(ceph: Ceph):
    vault = open_vault(replace(ceph.settings(), lock="compliance"))
    with pytest.raises(VaultRefused, match="compares MD5"):
        vault.sign_put(KEY, sha256(BODY), len(BODY))
    signed = vault.sign_put(KEY, sha256(BODY), len(BODY), retain_until=NEXT_WEEK, md5=MD5)
    put = lambda body: httpx.put(signed.url, content=body, headers=dict(signed.headers))  # noqa: E731
    other = put(BODY[:-1] + b"!").status_code
    right = put(BODY).status_code

    found = vault.head(KEY)
    assert (vault.checksum, other, right) == ("md5", 400, 200)
    assert found is not None
    assert (found.sha256, found.md5, found.retain_until) == ("", MD5, NEXT_WEEK)
    assert found.holds(len(BODY), sha256(BODY), MD5)
    assert not found.holds(len(BODY), sha256(BODY))


def test_what_ceph_enforces(ceph: Ceph):
    ceph.add_user("daily", "k-daily", "canary-ceph-daily")
    ceph.add_user("expiry", "k-expiry", "canary-ceph-expiry")
    admin = (known("a", cephs.ACCESS_KEY), known("s", cephs.SECRET_KEY))
    settings = replace(
        ceph.settings(),
        bucket="kept-apart",
        lock="governance",
        access_key=known("d", "k-daily"),
        secret_key=known("ds", "canary-ceph-daily"),
        expiry_access_key=known("e", "k-expiry"),
        expiry_secret_key=known("es", "canary-ceph-expiry"),
    )

    made = set_up(settings, admin, CLOCK, users={"daily": "daily", "expiry": "expiry"})
    probed = probe(settings, CLOCK, thorough=True, admin=admin_line(settings, admin, CLOCK))

    assert (made.provider, made.recipe) == ("ceph", {})
    assert [one.kept for one in made.made] == [True] * 5
    assert broken(probed.found) == ()
    assert {one.name for one in weak(probed.found)} == {"once"}
