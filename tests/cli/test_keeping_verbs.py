"""The verbs that keep backups, on a folder of backups that are of different ages."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
from tests.backup.shelf import KEY, SITE, Keeper
from tests.cli.terminal import Ended
from tests.engine.workplace import in_a_process_that_dies

from opsplay.cli import main
from opsplay.core.retention import plan_named
from opsplay.core.vault import VaultSettings
from opsplay.journal import Journal
from opsplay.kit.clock import FrozenClock, SystemClock
from opsplay.vaults.folder import FolderVault

DAYS = 45
_INVENTORY = """\
sites:
  shop:
    cms: wordpress
    vault: disk
    plan: essentiel
    promises: {lose_at_most: 26h}
    environments:
      production: {host: local, root: /nowhere/htdocs, url: "https://shop.example"}
vaults:
  disk: {kind: folder, folder: DISK, recipients: [RECIPIENT]}
"""
RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())


def folder(path: Path) -> FolderVault:
    return FolderVault(VaultSettings("disk", "folder", folder=str(path)))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site that was backed up each day until today."""
    disk = tmp_path_factory.mktemp("lived") / "disk"
    began = SystemClock().now() - timedelta(days=DAYS)
    keeper = Keeper(plan_named("essentiel"), FrozenClock(began), "none", vault=folder(disk))
    for day in range(DAYS):
        before = set(disk.rglob("*"))
        snapshot = keeper.back_up(suspect=("looks bad",) if day == 0 else ())
        if day % 5 == 0:
            keeper.verify(snapshot)
        for path in set(disk.rglob("*")) - before:
            stamp = keeper.clock.now().timestamp()
            os.utime(path, (stamp, stamp))
        keeper.pass_days(1)
    return disk


@pytest.fixture
def keeper(lived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    """An ops repository with that site, and who keeps its backups."""
    shutil.copytree(lived, tmp_path / "disk")
    (tmp_path / "inventory").mkdir()
    text = _INVENTORY.replace("DISK", str(tmp_path / "disk")).replace("RECIPIENT", RECIPIENT)
    (tmp_path / "inventory" / "shop.yaml").write_text(text)
    keys = tmp_path / ".opsplay" / "keys"
    keys.mkdir(parents=True)
    (keys / "signing").write_text(KEY)
    (keys / "signing").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["opsplay"])
    monkeypatch.setenv("COLUMNS", "200")
    clock = FrozenClock(SystemClock().now())
    return Keeper(plan_named("essentiel"), clock, "none", vault=folder(tmp_path / "disk"))


@pytest.fixture
def call(keeper: Keeper, capsys: pytest.CaptureFixture[str]):
    assert keeper.names()

    def calling(*words: str) -> Ended:
        status = 0
        try:
            main(words)
        except SystemExit as ended:
            status = int(ended.code or 0)
        told = capsys.readouterr()
        return Ended(status, told.out, told.err)

    return calling


def documents(ended: Ended) -> list[dict]:
    return [json.loads(line) for line in ended.out.splitlines()]


def test_backups_tells_how_far_each_can_be_trusted(call):
    (told,) = documents(call("backups", SITE, "--json"))
    table = call("backups")

    newest = told["backups"][0]
    assert len(told["backups"]) == DAYS
    assert newest["signed"]
    assert newest["kept_because"] == "it is younger than 35 days"
    assert {one["verified_level"] for one in told["backups"]} == {0, 2}
    assert "is suspect: looks bad" in told["alarms"][0]["told"]
    assert table.status == 1, "an alarm fails the verb"
    assert "SUSPECT" in table.out
    assert "level 2" in table.out


def test_a_broken_promise_and_a_missing_manifest_are_alarms(call, keeper: Keeper):
    names = [one.snapshot for one in keeper.known().backups]
    for snapshot in names[-3:-1]:
        Path("disk", snapshot.key).unlink()
    Path("disk", names[-1].segments[0].key).unlink()
    call("backups.verify", "shop")

    ended = call("backups", "shop")

    assert ended.status == 1
    assert "the newest good backup is 3 d" in ended.out
    assert "promised: 26 h" in ended.out
    assert f"{names[-1].key} follows a manifest that is not there" in ended.out


def test_verify_names_what_is_damaged_and_ends_with_status_1(call, keeper: Keeper):
    good = call("backups.verify")
    broken = keeper.known().backups[-1].snapshot.segments[0].key  # the dump, which is its own
    Path("disk", broken).write_bytes(b"x")

    ended = call("backups.verify", "--json")

    assert good.status == 0, good
    assert ended.status == 1
    (told,) = documents(ended)
    assert [one["damage"][0]["key"] for one in told["verdicts"] if one["damage"]] == [broken]


def test_an_expiry_is_first_looked_at_then_done(call, keeper: Keeper):
    call("backups.clear", SITE, keeper.names()[0])
    before = len(list(Path("disk").rglob("*")))

    looked = call("backups.expire", "--check")
    (told,) = documents(call("backups.expire", "--check", "--json"))
    untouched = len(list(Path("disk").rglob("*"))) == before
    done = call("backups.expire")

    going = [one["snapshot"] for one in told["backups"] if not one["stays"]]
    assert untouched
    assert looked.status == done.status == 0, done
    assert "goes " in looked.out
    assert 5 <= len(going) <= DAYS - 35
    assert len(keeper.names()) == DAYS - len(going)
    assert keeper.whole() == []


def test_a_suspect_backup_is_cleared_once_and_by_name(call, keeper: Keeper):
    name = keeper.names()[0]

    cleared = call("backups.clear", SITE, name)
    again = call("backups.clear", SITE, name)

    assert cleared.status == 0, cleared
    assert f"backup {name} is no damage, says " in cleared.out
    assert again.status == 2
    assert f"backup {name} is not suspect" in again.err
    assert call("backups", SITE).status == 0


AFTER = {"Verify": 5, "Expire": 9}
"""Which write to the journal is the last one: the act's intent."""
KEEP = """\
name: Keep backups
sites: all
stages:
  - name: Prove and tidy up
    steps:
      - verify_backups: {level: 1}
      - expire_backups: {}
"""


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("keep.yaml").write_text(KEEP)
    return "keep.yaml"


def test_a_playbook_verifies_then_expires_and_needs_no_host(call, keeper: Keeper, book: str):
    call("backups.clear", SITE, keeper.names()[0])
    before = sorted(Path("disk").rglob("*"))

    checked = call("check", book)
    (foreseen,) = documents(call("backups.expire", "--check", "--json"))
    untouched = sorted(Path("disk").rglob("*")) == before
    done = call("run", book, "--yes")
    again = call("run", book, "--yes")

    going = [one["snapshot"] for one in foreseen["backups"] if not one["stays"]]
    assert untouched
    assert checked.status == 4, checked
    assert f"now {len(going)} of {DAYS} backups: {' '.join(going[:12])}" in checked.out
    assert done.status == again.status == 0, done
    assert set(keeper.names()).isdisjoint(going)
    assert len(keeper.names()) == DAYS - len(going)
    assert f"{DAYS} backups whole at level 1" in done.out
    assert f"{len(going)} backups gone, " in done.out
    assert f"nothing is over; {DAYS - len(going)} backups kept" in again.out
    assert not Path("home").exists(), "the host was not even locked"


def test_a_playbook_that_finds_damage_names_it_and_expires_nothing(call, keeper: Keeper, book: str):
    call("backups.clear", SITE, keeper.names()[0])
    broken = keeper.known().backups[-1].snapshot.segments[0].key
    Path("disk", broken).unlink()

    ended = call("run", book, "--yes")

    assert ended.status == 1
    assert broken in ended.out
    assert len(keeper.names()) == DAYS


@pytest.mark.proof
@pytest.mark.parametrize("act", ["Verify", "Expire"])
def test_a_run_that_was_killed_goes_on_without_the_host(call, keeper: Keeper, book: str, act: str):
    call("backups.clear", SITE, keeper.names()[0])

    assert in_a_process_that_dies(AFTER[act], lambda: main(["run", book, "--yes"]))
    resumed = call("resume", "last", "--yes")

    with closing(Journal(Path(".opsplay/journal.db"), SystemClock())) as journal:
        intents = [one for one in journal.events() if one.kind == "intent"]
    done = [one.data["action"]["action"] for one in intents]
    assert done.count(act) == 2, "it died in the middle of it, and it was done again"
    assert resumed.status == 0, resumed
    assert len(keeper.names()) < DAYS
    assert keeper.whole() == []
    assert not Path("home").exists(), "the host was not even locked"


def test_a_promise_of_drills_is_told_and_alarms_when_it_is_broken(call, keeper: Keeper):
    path = Path("inventory", "shop.yaml")
    path.write_text(path.read_text().replace("26h}", "26h, drill_every: month}"))
    call("backups.clear", SITE, keeper.names()[0])

    never = call("backups", SITE)
    keeper.certify(keeper.known().backups[-1].snapshot)
    kept = call("backups", SITE)
    (told,) = documents(call("backups", SITE, "--json"))

    assert never.status == 1
    assert "no successful drill yet, promised every month" in never.out
    assert kept.status == 0, kept
    assert "last successful drill today, promised every month" in kept.out
    assert [one["overdue"] for one in told["drills"]] == [False]


def test_mistakes_are_told(call):
    assert "levels to verify at are 1, 2 and 3" in call("backups.verify", "--level", "7").err
    assert "a share goes from 0 to 100" in call("backups.verify", "--sample", "101").err
    assert "holds no backup nothing" in call("backups.verify", SITE, "--snapshot", "nothing").err
