"""Backup and restore of a real WordPress over real SSH, into a real S3 server."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from opsplay import cms
from opsplay.core.action import Store
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import LineCut, Unreachable
from opsplay.core.site import Site
from opsplay.core.vault import VaultSettings
from opsplay.engine.restore import bring_back
from opsplay.engine.restoring import Restoring
from opsplay.engine.snapshots import snapshots, verify_listing
from opsplay.engine.store import take
from opsplay.kit.clock import SystemClock
from opsplay.kit.ids import run_id
from opsplay.kit.secret import Secret
from opsplay.lab import Lab
from opsplay.transports.ssh import SshTransport
from opsplay.vaults import open_vault

pytestmark = [pytest.mark.real, pytest.mark.story]
CLOCK = SystemClock()


@pytest.fixture
def bakery(fresh_lab: Lab) -> Site:
    cms.load()
    return Site("bakery", "wordpress", {name: _environment(fresh_lab, name) for name in _NAMES})


_NAMES = ("production", "staging")


def _environment(lab: Lab, name: str, host: str = "") -> Environment:
    fact = {key: lab.facts[f"bakery_{name}_{key}"] for key in ("host", "root", "url")}
    address = Host(host or fact["host"], ssh_config=lab.facts["lab_ssh_config"])
    return Environment(name, address, fact["root"], fact["url"])


@pytest.fixture
def settings(lab: Lab) -> VaultSettings:
    facts = lab.facts
    return VaultSettings(
        name="lab",
        kind="s3",
        endpoint=facts["lab_s3_endpoint"],
        bucket=facts["lab_s3_bucket"],
        access_key=_secret(facts["lab_s3_access_key_file"]),
        secret_key=_secret(facts["lab_s3_secret_key_file"]),
        recipients=(facts["lab_age_recipient"],),
        identity=_secret(facts["lab_age_identity_file"]),
    )


def _secret(path: str) -> Secret:
    return Secret(f"file:{path}", lambda _reference: Path(path).read_text().strip())


def back_up(site: Site, settings: VaultSettings, transport=None, attempt: int = 1, **options):
    return take(
        Store(),
        site,
        transport or SshTransport(site.here.host),
        open_vault(settings),
        settings,
        run=run_id(CLOCK.now()),
        attempt=attempt,
        clock=CLOCK,
        progress=options.pop("progress", lambda *_: None),
        **options,
    )


def restore(snapshot, site: Site, settings: VaultSettings) -> None:
    line = SshTransport(site.here.host)
    bring_back(Restoring(snapshot, site, line, open_vault(settings), settings, CLOCK))


@pytest.mark.proof
def test_a_deleted_wordpress_comes_back_from_s3_alone(bakery, settings, fresh_lab: Lab):
    before = fresh_lab.fingerprint("bakery", "production")
    snapshot = back_up(bakery, settings)
    shutil.rmtree(bakery.here.root)
    tables = fresh_lab.sql("bakery", "production", "SHOW TABLES")
    for (table,) in tables:
        fresh_lab.sql("bakery", "production", f"DROP TABLE `{table}`")

    restore(snapshot, bakery, settings)

    assert fresh_lab.fingerprint("bakery", "production").difference(before) == ()
    assert fresh_lab.page(f"{bakery.here.url}/")[0] == 200
    assert verify_listing(open_vault(settings), snapshot) == ()
    home = Path(fresh_lab.facts["lab_web1_home"])
    assert [*home.glob(".opsplay/spool/*"), *home.glob(".opsplay/restore/*")] == []


@pytest.mark.proof
def test_a_backup_of_production_becomes_a_safe_staging(bakery, settings, fresh_lab: Lab):
    production = fresh_lab.fingerprint("bakery", "production")
    snapshot = back_up(bakery, settings)

    restore(snapshot, bakery.at("staging"), settings)

    status, page = fresh_lab.page(f"{bakery.at('staging').here.url}/")
    assert status == 200
    assert bakery.here.url not in page
    assert fresh_lab.fingerprint("bakery", "production") == production


def test_a_line_cut_in_the_middle_seals_nothing_and_the_next_attempt_does(
    bakery, settings, fresh_lab: Lab
):
    relayed = _environment(fresh_lab, "production", "lab-web1-relay")
    site = replace(bakery, environments={"production": relayed})
    vault = open_vault(settings)
    with fresh_lab.relay("web1") as relay:
        transport = SshTransport(relayed.host)
        seen = threading.Event()

        def cut_at_the_first_segment(*_what: object) -> None:
            if not seen.is_set():
                seen.set()
                relay.cut(1.0)
                time.sleep(0.2)

        with pytest.raises((LineCut, Unreachable)):
            back_up(site, settings, transport, progress=cut_at_the_first_segment)
        assert snapshots(vault, "bakery") == ()
        time.sleep(1.0)

        snapshot = back_up(site, settings, transport, attempt=2)

    assert snapshots(vault, "bakery") == (snapshot,)
