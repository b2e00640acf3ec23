"""What every vault promises; each kind runs this suite on the real thing."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from opsplay.core.errors import VaultRefused
from opsplay.core.vault import Vault

BODY = b"bytes \x00 of any kind \xff" * 100


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class VaultContract:
    """Subclass and give a fixture `vault`: a fresh, empty vault."""

    sha256_told = True
    """Whether the storage knows SHA-256; if not, it tells MD5."""

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
        told = sha256(BODY) if self.sha256_told else ""
        assert (found.key, found.bytes, found.sha256) == ("v1/shop/a", len(BODY), told)
        assert found.holds(len(BODY), sha256(BODY), md5(BODY))
        assert not found.holds(len(BODY), sha256(b""), md5(b""))
        assert not found.holds(len(BODY) + 1, sha256(BODY), md5(BODY))

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

    def test_versions_are_sorted_and_below_the_prefix(self, vault: Vault):
        for key in ("v1/shop/b", "v1/shop/a/x", "v1/other/a"):
            vault.put(key, b"xy")

        found = list(vault.versions("v1/shop/"))

        assert [(one.key, one.bytes, one.deleted) for one in found] == [
            ("v1/shop/a/x", 2, False),
            ("v1/shop/b", 2, False),
        ]

    def test_what_is_deleted_is_gone_for_good(self, vault: Vault):
        vault.put("v1/shop/a", BODY)
        vault.put("v1/shop/b", BODY)
        vault.delete("v1/shop/a")

        assert vault.head("v1/shop/a") is None
        assert [one.key for one in vault.versions("v1/")] == ["v1/shop/b"]

    def test_deleting_again_is_no_error_and_makes_no_mark(self, vault: Vault):
        stored = vault.put("v1/shop/a", BODY)
        vault.delete("v1/shop/a", stored.version_id)
        vault.delete("v1/shop/a", stored.version_id)
        vault.delete("v1/shop/a")
        vault.delete("v1/shop/nothing")

        assert list(vault.versions("v1/")) == []

    def test_a_vault_that_does_not_lock_ignores_the_date(self, vault: Vault):
        vault.put("v1/shop/a", BODY, retain_until=NEXT_WEEK)

        found = vault.head("v1/shop/a")
        assert found is not None
        assert found.retain_until is None
        vault.delete("v1/shop/a")


NEXT_WEEK = (datetime.now(UTC) + timedelta(days=7)).replace(microsecond=0)


class LockingContract(VaultContract):
    """Subclass and give `vault`, which keeps versions, and `locking`, which locks them as well."""

    def test_replacing_hides_the_version_before(self, vault: Vault):
        old = vault.put("v1/shop/a", b"old")
        new = vault.put("v1/shop/a", b"newer", replace=True)

        found = list(vault.versions("v1/shop/"))

        assert [(one.version_id, one.bytes) for one in found] == [
            (new.version_id, 5),
            (old.version_id, 3),
        ]

    def test_deleting_the_newest_version_shows_the_one_before(self, vault: Vault):
        vault.put("v1/shop/a", b"old")
        vault.put("v1/shop/a", b"newer", replace=True)
        vault.delete("v1/shop/a")

        assert b"".join(vault.get("v1/shop/a")) == b"old"

    def test_a_mark_of_deletion_hides_and_is_listed_and_can_be_taken_away(self, vault: Vault):
        vault.put("v1/shop/a", BODY)
        self.hide(vault, "v1/shop/a")

        mark, hidden = vault.versions("v1/shop/")

        assert (mark.deleted, hidden.deleted) == (True, False)
        assert vault.head("v1/shop/a") is None
        assert list(vault.keys("v1/")) == []
        vault.delete("v1/shop/a", mark.version_id)
        assert vault.head("v1/shop/a") is not None

    def test_a_lock_is_told(self, locking: Vault):
        locking.put("v1/shop/a", BODY, retain_until=NEXT_WEEK)

        found = locking.head("v1/shop/a")
        assert found is not None
        assert found.retain_until == NEXT_WEEK

    def test_what_is_locked_cannot_be_deleted(self, locking: Vault):
        locked = locking.put("v1/shop/a", BODY, retain_until=NEXT_WEEK)
        with pytest.raises(VaultRefused, match=f"v1/shop/a: it is locked until {NEXT_WEEK:%Y-%m}"):
            locking.delete("v1/shop/a", locked.version_id)
        with pytest.raises(VaultRefused, match="locked until"):
            locking.delete("v1/shop/a")

        assert b"".join(locking.get("v1/shop/a")) == BODY

    def test_replacing_leaves_a_locked_version_as_it_is(self, locking: Vault):
        locked = locking.put("v1/shop/a", BODY, retain_until=NEXT_WEEK)
        locking.put("v1/shop/a", b"garbage", replace=True)
        locking.delete("v1/shop/a")

        found = locking.head("v1/shop/a")
        assert found is not None
        assert (found.version_id, found.retain_until) == (locked.version_id, NEXT_WEEK)

    def test_what_was_never_locked_can_be_deleted(self, locking: Vault):
        locking.put("v1/shop/a", BODY)
        locking.delete("v1/shop/a")

        assert list(locking.versions("v1/")) == []

    def hide(self, vault: Vault, key: str) -> None:
        vault.hide(key)  # type: ignore[attr-defined]
