"""The folder and the memory vault keep the vault's promises."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path

import pytest
from tests.vaults.contract import LockingContract, VaultContract

from opsplay.core.errors import InvalidInput, VaultRefused
from opsplay.core.vault import VaultSettings
from opsplay.kit.clock import FrozenClock
from opsplay.vaults import open_vault
from opsplay.vaults.memory import MemoryVault


class TestFolder(VaultContract):
    @pytest.fixture
    def vault(self, tmp_path: Path):
        return open_vault(VaultSettings("disk", "folder", folder=str(tmp_path / "vault")))

    def test_nothing_half_written_is_left_or_listed(self, vault, tmp_path: Path):
        vault.put("v1/shop/a", b"x")
        (tmp_path / "vault" / "v1" / "shop" / ".part-crashed").write_bytes(b"half")
        with pytest.raises(VaultRefused):
            vault.put("v1/shop/a", b"y")

        assert [one.key for one in vault.keys("v1/")] == ["v1/shop/a"]
        names = {path.name for path in (tmp_path / "vault" / "v1" / "shop").iterdir()}
        assert names == {"a", ".part-crashed"}

    @pytest.mark.parametrize("key", ["../out", "/etc/x", "", "a/../../b"])
    def test_a_key_never_leaves_the_folder(self, vault, key: str):
        with pytest.raises(VaultRefused, match="not a key"):
            vault.put(key, b"x")


class TestMemory(LockingContract):
    @pytest.fixture
    def vault(self):
        return open_vault(VaultSettings(f"m-{secrets.token_hex(4)}", "memory"))

    @pytest.fixture
    def locking(self):
        return open_vault(VaultSettings(f"m-{secrets.token_hex(4)}", "memory", lock="compliance"))

    def test_a_lock_ends_by_the_clock(self):
        clock = FrozenClock(dt.datetime(2026, 11, 22, tzinfo=dt.UTC))
        vault = MemoryVault("m", clock, "governance")
        vault.put("a", b"x", retain_until=clock.now() + dt.timedelta(days=7))
        clock.sleep(7 * 86400 - 1)
        with pytest.raises(VaultRefused, match="locked until 2026-11-29 00:00 UTC"):
            vault.delete("a")
        clock.sleep(1)
        vault.delete("a")

        assert list(vault.versions("")) == []

    def test_the_same_name_is_the_same_vault(self, vault):
        vault.put("a", b"x")

        assert open_vault(VaultSettings(vault.name, "memory")).head("a") is not None


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_vault_that_cannot_sign_says_so(kind: str, tmp_path: Path):
    vault = open_vault(VaultSettings("v", kind, folder=str(tmp_path)))

    assert vault.signs is False
    with pytest.raises(VaultRefused, match="cannot sign"):
        vault.sign_put("a", "00", 1)
    with pytest.raises(VaultRefused, match="cannot sign"):
        vault.sign_get("a")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (VaultSettings("v", "ftp"), "known: folder, memory, s3"),
        (VaultSettings("v", "s3"), "needs `bucket`"),
        (VaultSettings("v", "folder"), "needs `folder`"),
        (VaultSettings("v", "folder", folder="/srv", lock="governance"), "a folder cannot keep"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_contacted(settings, says: str):
    with pytest.raises(InvalidInput, match=says):
        open_vault(settings)


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_no_second_credential_is_needed_where_there_are_none(kind: str, tmp_path: Path):
    assert open_vault(VaultSettings("v", kind, folder=str(tmp_path)), expiring=True)


def test_expiring_an_s3_vault_needs_the_second_credential():
    with pytest.raises(InvalidInput, match="names no `expiry_access_key`") as caught:
        open_vault(VaultSettings("v", "s3", bucket="b"), expiring=True)
    assert caught.value.next_command == "opsplay vault.setup v"
