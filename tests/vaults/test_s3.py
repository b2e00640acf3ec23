"""The S3 vault keeps the vault's promises on a real server, and signs narrowly."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import httpx
import pytest
from tests.vaults.contract import BODY, NEXT_WEEK, LockingContract, sha256
from tests.vaults.seaweed import Seaweed, free_ports

from opsplay.core.errors import Unreachable, VaultRefused
from opsplay.core.vault import SignedPut, Vault
from opsplay.kit.clock import FrozenClock
from opsplay.kit.secret import Secret
from opsplay.vaults import open_vault, s3
from opsplay.vaults.s3 import S3Vault

pytestmark = pytest.mark.real
WIRE = httpx.Client(trust_env=False)
KEY = "v1/shop/2026-11/db/one.age.00000"


def send(signed: SignedPut, body: bytes = BODY, **changed: str) -> int:
    headers = dict(signed.headers) | changed
    return WIRE.put(signed.url, content=body, headers=headers).status_code


class TestS3(LockingContract):
    @pytest.fixture
    def vault(self, seaweed: Seaweed):
        return open_vault(seaweed.settings())

    @pytest.fixture
    def locking(self, seaweed: Seaweed):
        return open_vault(replace(seaweed.settings(), lock="governance"))

    def hide(self, vault: Vault, key: str):
        bucket = vault._bucket  # type: ignore[attr-defined]
        vault._client.delete_object(Bucket=bucket, Key=key)  # type: ignore[attr-defined]

    def test_keys_go_on_after_the_first_page(self, vault: Vault, monkeypatch):
        client = vault._client  # type: ignore[attr-defined]
        for number in range(7):
            vault.put(f"v1/shop/{number}", b"")
        page = client.list_objects_v2
        monkeypatch.setattr(client, "list_objects_v2", lambda **kw: page(**kw, MaxKeys=3))

        assert [one.key for one in vault.keys("v1/")] == [f"v1/shop/{n}" for n in range(7)]


@pytest.fixture
def vault(seaweed: Seaweed) -> Vault:
    return open_vault(seaweed.settings())


@pytest.fixture
def signed(vault: Vault) -> SignedPut:
    return vault.sign_put(KEY, sha256(BODY), len(BODY))


def test_a_signed_url_stores_the_one_body_it_is_for(vault: Vault, signed: SignedPut):
    assert send(signed) == 200

    found = vault.head(KEY)
    assert found is not None
    assert (found.bytes, found.sha256) == (len(BODY), sha256(BODY))


def test_the_signature_covers_body_length_and_writing_once(signed: SignedPut):
    query = httpx.URL(signed.url).params

    assert set(query["X-Amz-SignedHeaders"].split(";")) == {
        "content-length",
        "host",
        "if-none-match",
        "x-amz-checksum-sha256",
    }


def test_another_body_is_refused(vault: Vault, signed: SignedPut):
    assert send(signed, BODY[:-1] + b"!") == 400
    assert vault.head(KEY) is None


def test_another_body_with_its_own_checksum_is_refused(vault: Vault, signed: SignedPut):
    other = BODY[:-1] + b"!"
    header = dict(vault.sign_put(KEY, sha256(other), len(other)).headers)["x-amz-checksum-sha256"]

    assert send(signed, other, **{"x-amz-checksum-sha256": header}) == 403
    assert vault.head(KEY) is None


def test_another_length_is_refused(vault: Vault, signed: SignedPut):
    assert send(signed, BODY + b"!", **{"Content-Length": str(len(BODY) + 1)}) == 403
    assert vault.head(KEY) is None


def test_a_second_put_is_refused(signed: SignedPut):
    assert send(signed) == 200
    assert send(signed) == 412


def test_writing_without_the_condition_is_refused(signed: SignedPut):
    headers = tuple(pair for pair in signed.headers if pair[0] != "If-None-Match")

    assert send(replace(signed, headers=headers)) == 403


def test_an_expired_url_is_refused(vault: Vault, monkeypatch):
    _move_botocore(monkeypatch, minutes=-10)
    signed = vault.sign_put(KEY, sha256(BODY), len(BODY), seconds=60)

    assert send(signed) == 403


@pytest.mark.parametrize(
    ("old", "new"),
    [(KEY, KEY.replace("00000", "00001")), ("X-Amz-Expires=900", "X-Amz-Expires=90000")],
)
def test_a_tampered_url_is_refused(vault: Vault, signed: SignedPut, old: str, new: str):
    assert send(replace(signed, url=signed.url.replace(old, new))) == 403
    assert list(vault.keys("v1/")) == []


def test_a_put_url_can_neither_read_nor_delete(vault: Vault, signed: SignedPut):
    vault.put(KEY, BODY)

    assert WIRE.get(signed.url).status_code == 403
    assert WIRE.delete(signed.url).status_code == 403


@pytest.fixture
def locking(seaweed: Seaweed) -> Vault:
    return open_vault(replace(seaweed.settings(), lock="compliance"))


def test_a_signed_lock_locks(locking: Vault):
    assert send(locking.sign_put(KEY, sha256(BODY), len(BODY), retain_until=NEXT_WEEK)) == 200

    found = locking.head(KEY)
    assert found is not None
    assert found.retain_until == NEXT_WEEK
    with pytest.raises(VaultRefused, match="locked until"):
        locking.delete(KEY)


def test_a_signed_lock_can_be_neither_left_out_nor_shortened(locking: Vault):
    signed = locking.sign_put(KEY, sha256(BODY), len(BODY), retain_until=NEXT_WEEK)
    without = tuple(pair for pair in signed.headers if "object-lock" not in pair[0])
    shorter = f"{NEXT_WEEK - dt.timedelta(days=6):%Y-%m-%dT%H:%M:%SZ}"

    assert send(replace(signed, headers=without)) == 403
    assert send(signed, **{"x-amz-object-lock-retain-until-date": shorter}) == 403
    assert send(signed, **{"x-amz-object-lock-mode": "GOVERNANCE"}) == 403
    assert locking.head(KEY) is None


def test_a_get_url_reads_one_object_and_nothing_else(vault: Vault):
    vault.put(KEY, BODY)
    vault.put(f"{KEY}1", b"other")
    url = vault.sign_get(KEY, 60)

    assert WIRE.get(url).content == BODY
    assert WIRE.get(url.replace(KEY, f"{KEY}1")).status_code == 403
    assert WIRE.put(url, content=b"x").status_code == 403
    assert WIRE.delete(url).status_code == 403
    assert WIRE.get(url.rpartition("/")[0]).status_code == 403


def test_a_storage_that_compares_sha256_is_known_as_such_by_trying(vault: Vault):
    assert vault.checksum == "sha256"
    assert [one.key for one in vault.keys("")] == ["probe/body"]


def test_a_storage_that_takes_a_wrong_body_gets_no_backup(vault: Vault, monkeypatch):
    real = s3.sums_of
    monkeypatch.setattr(s3, "sums_of", lambda body, *kinds: {} if kinds else real(body))

    with pytest.raises(VaultRefused, match="do not fit their checksum") as caught:
        vault.sign_put(KEY, sha256(BODY), len(BODY))
    assert "vault.probe" in caught.value.next_command


def test_a_wrong_secret_key_is_named(seaweed: Seaweed):
    wrong = Secret("env:X", lambda _reference: "wrong")
    vault = open_vault(replace(seaweed.settings(), secret_key=wrong))

    with pytest.raises(VaultRefused, match="secret key is wrong") as caught:
        vault.put("a", b"x")
    assert "vaults" in caught.value.next_command


def test_a_missing_bucket_is_named(seaweed: Seaweed):
    vault = open_vault(replace(seaweed.settings(), bucket="nobody-made-this"))

    with pytest.raises(VaultRefused, match="no such bucket"):
        list(vault.keys("v1/"))


def test_a_storage_that_does_not_answer_is_unreachable(seaweed: Seaweed, monkeypatch):
    settings = replace(seaweed.settings(), endpoint=f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setattr("time.sleep", lambda _seconds: None)

    with pytest.raises(Unreachable, match="did not answer"):
        open_vault(settings).head("a")


@pytest.mark.parametrize(("minutes", "word"), [(-20, "behind"), (20, "ahead of")])
def test_a_wrong_clock_is_named_as_the_cause(seaweed, monkeypatch, minutes: int, word: str):
    settings = seaweed.settings()
    _move_botocore(monkeypatch, minutes)
    wrong = FrozenClock(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes))

    with pytest.raises(VaultRefused, match=f"clock is 20 minutes {word}") as caught:
        S3Vault(settings, wrong).put("a", b"x")
    assert caught.value.next_command == "timedatectl status"


def _move_botocore(monkeypatch, minutes: int) -> None:
    """Let the signer believe that it is earlier or later than it is."""
    import botocore.auth

    real = botocore.auth.get_current_datetime
    moved = lambda *args, **kw: real(*args, **kw) + dt.timedelta(minutes=minutes)  # noqa: E731
    monkeypatch.setattr(botocore.auth, "get_current_datetime", moved)
