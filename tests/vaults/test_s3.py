"""The S3 vault keeps the vault's promises on a real server, and signs narrowly."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import httpx
import pytest
from tests.vaults.contract import BODY, VaultContract, sha256
from tests.vaults.seaweed import Seaweed, free_ports

from opsplay.core.errors import Unreachable, VaultRefused
from opsplay.core.vault import SignedPut, Vault
from opsplay.kit.clock import FrozenClock
from opsplay.kit.secret import Secret
from opsplay.vaults import open_vault
from opsplay.vaults.s3 import S3Vault

pytestmark = pytest.mark.real
KEY = "v1/shop/2026-11/db/one.age.00000"


def send(signed: SignedPut, body: bytes = BODY, **changed: str) -> int:
    headers = dict(signed.headers) | changed
    return httpx.put(signed.url, content=body, headers=headers, trust_env=False).status_code


class TestS3(VaultContract):
    @pytest.fixture
    def vault(self, seaweed: Seaweed):
        return open_vault(seaweed.settings())

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

    assert httpx.get(signed.url, trust_env=False).status_code == 403
    assert httpx.delete(signed.url, trust_env=False).status_code == 403


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
