"""Expiry on a real storage, with the two narrow credentials that `vault.setup` hands out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.backup.shelf import SIGNER, TRUSTED, Keeper
from tests.vaults import seaweed as seaweeds
from tests.vaults.seaweed import Seaweed, known

from opsplay.core.errors import VaultRefused
from opsplay.core.retention import plan_named
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.expire import Expiry, carry_out, planned
from opsplay.engine.verify import Verification, give_word
from opsplay.kit.clock import FrozenClock, SystemClock
from opsplay.vaults import open_vault
from opsplay.vaults.setting_up import set_up

pytestmark = pytest.mark.real
ADMIN = (known("admin", seaweeds.ACCESS_KEY), known("admin's", seaweeds.SECRET_KEY))
PLAN = plan_named("essentiel")
LATER = timedelta(days=200)


@pytest.fixture
def settings(seaweed: Seaweed) -> VaultSettings:
    settings = seaweed.kept_apart("governance")
    set_up(settings, ADMIN, SystemClock())
    return settings


def keeper(settings: VaultSettings, site: str, lock: str, count: int = 4) -> Keeper:
    """Take backups of one and the same hour, verified, by the daily credential."""
    made = Keeper(PLAN, FrozenClock(SystemClock().now()), lock, vault=_Daily(settings, lock))
    made.site = site
    for _ in range(count):
        made.verify(made.back_up())
    return made


class _Daily:
    """The vault as the daily job sees it, with locks or without."""

    def __init__(self, settings: VaultSettings, lock: str) -> None:
        self._vault = open_vault(settings)
        self._lock = lock

    def put(self, key, body, *, replace=False, retain_until=None):
        until = retain_until if self._lock != "none" else None
        return self._vault.put(key, body, replace=replace, retain_until=until)

    def __getattr__(self, name):
        return getattr(self._vault, name)


def looked(made: Keeper, deleter: Vault, monkeypatch: pytest.MonkeyPatch) -> Expiry:
    """Judge as if half a year had passed; the storage's own dates stay today's."""
    monkeypatch.setattr("opsplay.core.retention._proved", lambda *_: 3)
    now = made.clock.now() + LATER
    return planned(made.vault, deleter, made.site, PLAN, TRUSTED, now)


def versions(made: Keeper) -> list[str]:
    return [one.key for one in made.vault.versions(f"v1/{made.site}/")]


def test_the_second_credential_deletes_what_is_over_with_all_versions(settings, monkeypatch):
    made = keeper(settings, "over", "none")
    first = made.known().backups[0].snapshot
    made.vault.put(first.segments[0].key, b"an attacker's version", replace=True)
    deleter = open_vault(settings, expiring=True)

    expiry = looked(made, deleter, monkeypatch)
    done = carry_out(expiry, made.vault, deleter, SIGNER, made.clock.now() + LATER)

    assert done.refused == ()
    assert len(done.backups) == 4
    assert {key.split("/")[2] for key in versions(made)} == {"expired"}


def test_the_daily_credential_deletes_nothing_and_every_backup_stays_whole(settings, monkeypatch):
    made = keeper(settings, "daily", "none")
    before = versions(made)

    expiry = looked(made, made.vault, monkeypatch)
    done = carry_out(expiry, made.vault, made.vault, SIGNER, made.clock.now() + LATER)

    assert done.backups == ()
    assert {one.key for one in done.refused} >= {one.snapshot.key for one in expiry.going}
    assert set(before) <= set(versions(made))
    assert made.whole() == []


def test_what_is_locked_stays_even_if_this_machines_clock_says_otherwise(settings, monkeypatch):
    made = keeper(settings, "locked", "governance")
    deleter = open_vault(settings, expiring=True)

    expiry = looked(made, deleter, monkeypatch)
    done = carry_out(expiry, made.vault, deleter, SIGNER, made.clock.now() + LATER)

    assert expiry.going
    assert done.backups == ()
    assert all("is locked until" in one.what for one in done.refused if "/snap/" in one.key)
    assert len(made.names()) == 4
    assert made.whole() == []


def test_verdicts_and_certificates_are_locked_as_long_as_they_are_needed(settings):
    made = keeper(settings, "noted", "governance", 1)
    deleter = open_vault(settings, expiring=True)
    certificate = made.certify(made.known().backups[0].snapshot)
    since = {one.key for one in made.vault.keys(f"v1/{made.site}/")}

    Verification(made.vault, made.site, made.clock, SIGNER, TRUSTED).at(1)
    give_word(made.vault, made.known().backups[0], SIGNER, made.clock.now(), "somebody")

    written = {one.key for one in made.vault.keys(f"v1/{made.site}/")} - since
    day, now = timedelta(days=1), made.clock.now()
    assert len(written) == 2 * 2
    for key in written:
        assert now + 34 * day < made.vault.head(key).retain_until <= now + 35 * day
    for key in (*written, certificate):
        with pytest.raises(VaultRefused, match="locked until"):
            deleter.delete(key)
