"""What every vault promises; each kind runs this suite on the real thing."""

from __future__ import annotations

import hashlib

import pytest

from opsplay.core.errors import VaultRefused
from opsplay.core.vault import Vault

BODY = b"bytes \x00 of any kind \xff" * 100


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class VaultContract:
    """Subclass and give a fixture `vault`: a fresh, empty vault."""

    def test_what_was_put_comes_back_whole(self, vault: Vault):
        vault.put("v1/shop/a", BODY)

        assert b"".join(vault.get("v1/shop/a")) == BODY

    def test_an_empty_object_comes_back_empty(self, vault: Vault):
        vault.put("v1/shop/empty", b"")

        assert b"".join(vault.get("v1/shop/empty")) == b""

    def test_put_and_head_say_size_and_sha256(self, vault: Vault):
        stored = vault.put("v1/shop/a", BODY)
        found = vault.head("v1/shop/a")

        assert (stored.bytes, stored.sha256) == (len(BODY), sha256(BODY))
        assert found is not None
        assert (found.key, found.bytes, found.sha256) == ("v1/shop/a", len(BODY), sha256(BODY))

    def test_head_of_nothing_is_none(self, vault: Vault):
        assert vault.head("v1/shop/nothing") is None

    def test_an_existing_key_is_refused(self, vault: Vault):
        vault.put("v1/shop/a", BODY)

        with pytest.raises(VaultRefused, match="already"):
            vault.put("v1/shop/a", b"other")

        assert b"".join(vault.get("v1/shop/a")) == BODY

    def test_replace_replaces(self, vault: Vault):
        vault.put("v1/shop/README.txt", b"old")
        vault.put("v1/shop/README.txt", b"new", replace=True)

        assert b"".join(vault.get("v1/shop/README.txt")) == b"new"

    def test_replace_also_makes_what_was_not_there(self, vault: Vault):
        vault.put("v1/shop/README.txt", b"new", replace=True)

        assert vault.head("v1/shop/README.txt") is not None

    def test_getting_nothing_raises(self, vault: Vault):
        with pytest.raises(VaultRefused):
            list(vault.get("v1/shop/nothing"))

    def test_keys_are_sorted_and_below_the_prefix(self, vault: Vault):
        for key in ("v1/shop/b", "v1/shop/a/x", "v1/shop-2/a", "v1/other/a"):
            vault.put(key, b"x")

        assert [one.key for one in vault.keys("v1/shop/")] == ["v1/shop/a/x", "v1/shop/b"]
        assert [one.key for one in vault.keys("v1/shop")] == [
            "v1/shop-2/a",
            "v1/shop/a/x",
            "v1/shop/b",
        ]
        assert [one.bytes for one in vault.keys("v1/other/")] == [1]

    def test_no_keys_below_an_unknown_prefix(self, vault: Vault):
        assert list(vault.keys("v1/nobody/")) == []
