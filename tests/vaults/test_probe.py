"""What a storage enforces is found by trying, and its two credentials are as narrow as promised."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
from tests.vaults import seaweed as seaweeds
from tests.vaults.seaweed import Seaweed, known

from opsplay.cli import main
from opsplay.core.enforcement import Enforced, broken, weak
from opsplay.core.errors import InvalidInput, VaultRefused
from opsplay.core.vault import VaultSettings
from opsplay.kit.clock import SystemClock
from opsplay.vaults import open_vault, trial
from opsplay.vaults.probing import probe
from opsplay.vaults.s3 import S3Vault
from opsplay.vaults.setting_up import admin_line, provider_of, set_up

pytestmark = pytest.mark.real
CLOCK = SystemClock()
RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())
ADMIN = (known("admin", seaweeds.ACCESS_KEY), known("admin's", seaweeds.SECRET_KEY))


def names(found: tuple[Enforced, ...]) -> set[str]:
    return {one.name for one in found}


@pytest.fixture
def apart(seaweed: Seaweed) -> VaultSettings:
    settings = seaweed.kept_apart("governance")
    set_up(settings, ADMIN, CLOCK)
    return settings


def test_an_all_powerful_key_is_a_weakness_and_the_storage_is_sound(seaweed: Seaweed):
    settings = seaweed.settings()
    probed = probe(settings, CLOCK)

    assert broken(probed.found) == ()
    assert names(weak(probed.found)) == {
        "daily-deletes",
        "daily-hides",
        "daily-bypasses",
        "daily-settings",
        "daily-writes-elsewhere",
        "daily-reads-elsewhere",
    }
    left = [one.key for one in S3Vault(settings).versions("")]
    assert left == [f"{probed.prefix}locked"]  # for a minute and a half
    assert probed.left == 1


def test_the_daily_credential_backs_up_and_the_second_one_expires(apart: VaultSettings):
    daily, expiring = open_vault(apart), open_vault(apart, expiring=True)
    stored = daily.put("v1/shop/a", b"x")

    with pytest.raises(VaultRefused, match="may not do that"):
        daily.delete("v1/shop/a", stored.version_id)
    with pytest.raises(VaultRefused, match="may not do that"):
        expiring.put("v1/shop/a", b"garbage", replace=True)
    assert daily.checksum == "sha256"
    expiring.delete("v1/shop/a", stored.version_id)
    assert list(daily.versions("v1/shop/")) == []


def test_a_storage_that_takes_a_wrong_body_is_refused(seaweed: Seaweed, monkeypatch):
    monkeypatch.setattr(trial, "sums_of", lambda _body, _kinds=(): {})  # as if it ignored them

    probed = probe(seaweed.settings(), CLOCK)

    assert names(broken(probed.found)) == {"wrong-body"}


def test_locks_that_a_bucket_cannot_keep_are_refused_by_probe_and_backup(seaweed: Seaweed):
    settings = replace(seaweed.settings(), bucket="plain-one", lock="compliance")
    admin_line(settings, ADMIN, CLOCK).client.create_bucket(Bucket="plain-one")

    assert names(broken(probe(settings, CLOCK).found)) == {"versions", "lock"}
    with pytest.raises(VaultRefused, match="cannot lock what it holds") as caught:
        open_vault(settings).sign_put("v1/a", "00" * 32, 1)
    assert caught.value.next_command == "opsplay vault.setup lab"


@pytest.mark.proof
def test_a_list_longer_than_a_page_is_whole(seaweed: Seaweed):
    probed = probe(seaweed.settings(), CLOCK, thorough=True)

    listed = next(one for one in probed.found if one.name == "lists")
    assert (listed.kept, listed.seen) == (True, "1001 of 1001 objects on 2 pages")
    assert probed.left == 1


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_only_s3_is_probed_and_set_up(kind: str):
    with pytest.raises(InvalidInput, match="only s3"):
        probe(VaultSettings("v", kind), CLOCK)
    with pytest.raises(InvalidInput, match="needs no setting up"):
        set_up(VaultSettings("v", kind), ADMIN, CLOCK)


def test_setting_up_can_be_repeated(seaweed: Seaweed):
    settings = replace(seaweed.settings(), bucket="made-by-setup")
    first, second = (set_up(settings, ADMIN, CLOCK) for _ in range(2))

    assert provider_of(admin_line(settings, ADMIN, CLOCK)) == "seaweedfs"
    assert [one.kept for one in first.made] == [True] * 4
    assert [one.kept for one in second.made] == [True] * 4


def test_an_administrator_who_may_nothing_is_refused(seaweed: Seaweed):
    settings = seaweed.settings()
    nobody = (known("a", seaweeds.DAILY[0]), known("s", seaweeds.DAILY[1]))

    with pytest.raises(VaultRefused, match="administrator's credential") as caught:
        set_up(settings, nobody, CLOCK, provider="seaweedfs")
    assert caught.value.state == "nothing was set up"


@pytest.fixture
def opsplay(
    tmp_path: Path, seaweed: Seaweed, monkeypatch, capsys
) -> Callable[..., tuple[int, str]]:
    """Return a way to run a verb on an inventory with the vault `offsite`, as its two keys."""
    settings = seaweed.kept_apart("governance")
    vault = {
        "kind": "s3", "endpoint": settings.endpoint, "bucket": settings.bucket,
        "lock": settings.lock, "recipients": [RECIPIENT],
    }  # fmt: skip
    for key in ("access_key", "secret_key", "expiry_access_key", "expiry_secret_key"):
        monkeypatch.setenv(f"T_{key}", getattr(settings, key).reveal())
        vault[key] = {"secret": f"env:T_{key}"}
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "vaults.yaml").write_text(json.dumps({"vaults": {"offsite": vault}}))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        status = 0
        try:
            main(words)
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_setup_prints_the_recipe_and_finds_two_narrow_credentials(opsplay, monkeypatch, seaweed):
    monkeypatch.setenv("OPSPLAY_ADMIN_ACCESS_KEY", seaweeds.ACCESS_KEY)
    monkeypatch.setenv("OPSPLAY_ADMIN_SECRET_KEY", seaweeds.SECRET_KEY)

    status, said = opsplay("vault.setup", "offsite")

    assert status == 0, said
    assert '"policyNames"' in said
    assert "vault offsite can be trusted with backups" in said
    assert not re.search("BROKEN|weak|canary", said)
    assert "kept        The daily credential cannot read there" in said
    line = admin_line(seaweed.kept_apart("none"), ADMIN, CLOCK)
    assert S3Vault(seaweed.kept_apart("none"), line=line).head("elsewhere/opsplay-probe") is None


@pytest.mark.usefixtures("apart")
def test_probe_answers_a_program(opsplay):
    status, said = opsplay("vault.probe", "offsite", "--json")

    told = json.loads(said)
    assert (status, told["trusted"]) == (0, True)
    assert {"name", "promise", "kept", "weight", "seen"} == set(told["found"][0])
    loose = [one["name"] for one in told["found"] if one["kept"] is False]
    assert loose == []


def test_setup_without_an_administrator_says_what_to_set(opsplay):
    status, said = opsplay("vault.setup", "offsite")

    assert status == 2
    assert "OPSPLAY_ADMIN_ACCESS_KEY" in said


def test_an_unknown_vault_is_named(opsplay):
    status, said = opsplay("vault.probe", "nobody")

    assert status == 1
    assert "known: offsite" in said
