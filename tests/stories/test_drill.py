"""Restore drills of a real WordPress from its vault alone: what they prove, and what they find."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.stories import bucket
from tests.stories.conftest import REPOSITORY, Ops
from tests.stories.during import locks, wait_for
from tests.stories.sealing import Sealing

from opsplay.core.errors import ExitStatus
from opsplay.lab import Lab

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.timeout(300)]
FAILED = ExitStatus.DRILL_FAILED


class OpsWithScratch(Ops):
    """An ops repository whose scratch environments lie beside no one else's."""

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return super().start(*words, TMPDIR=str(self.folder / "tmp"), **environment)


@pytest.fixture(scope="module")
def ops(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Ops:
    """An ops repository after a backup of bakery, whose client reads French."""
    lab.start_source()
    lab.reset()
    folder = tmp_path_factory.mktemp("drills")
    for name in ("playbooks", "inventory"):
        shutil.copytree(REPOSITORY / name, folder / name)
    (folder / ".lab").symlink_to(lab.places.directory)
    inventory = folder / "inventory" / "lab.yaml"
    text = inventory.read_text().replace(
        "    plan: business\n", "    plan: business\n    language: fr\n", 1
    )
    inventory.write_text(text)
    lab.page(lab.environment("bakery", "production").url)
    made = OpsWithScratch(folder, lab)
    (folder / "tmp").mkdir()
    said = made("run", "playbooks/backup.yaml", "--limit", "bakery")
    assert said.exit_status == 0, said.text
    return made


@pytest.fixture(scope="module")
def good(ops: Ops) -> Sealing:
    return Sealing(ops.lab, ops.folder / ".opsplay", "bakery")


@pytest.fixture
def sealing(good: Sealing):
    yield good
    good.forget()


@pytest.fixture
def nobody_home(ops: Ops):
    """The host of bakery is gone: no sshd, no files, no database server."""
    lab = ops.lab
    site = lab.environment("bakery", "production").home
    gone = site.with_name("gone")
    lab.processes.stop(["ssh-web1", "database"])
    site.rename(gone)
    yield
    gone.rename(site)
    lab._start(lambda _text: None)


def scratches(ops: Ops) -> list[Path]:
    return list((ops.folder / "tmp").glob("opsplay-drill-*"))


def certificates(ops: Ops) -> list[Path]:
    return sorted(ops.folder.glob(".opsplay/certificates/bakery/*.json"), key=os.path.getmtime)


def newest(ops: Ops) -> dict:
    return json.loads(certificates(ops)[-1].read_text())


@pytest.mark.proof
@pytest.mark.usefixtures("nobody_home")
def test_a_backup_is_proved_from_the_vault_alone_when_the_host_is_gone(ops):
    drilled = ops("run", "playbooks/restore-drill.yaml", "--limit", "bakery")

    assert drilled.exit_status == 0, drilled.text
    proved = newest(ops)
    assert (proved["verdict"], proved["restore"]["status"]) == ("SUCCESSFUL", "restored")
    assert {check["name"] for check in proved["checks"]} >= {"seal", "files", "tables", "last post"}
    assert all(check["good"] for check in proved["checks"])
    assert (proved["rto"]["kept"], proved["rpo"]["kept"]) == (True, True)
    assert 0 < proved["rto"]["measured"] < 200
    assert scratches(ops) == []
    (ended,) = [one for one in ops.events() if one["kind"] == "run_finished"]
    assert not ended["round_trips"].get("lab-web1")
    look_at_the_certificate(ops, proved)
    the_backups_are_kept(ops, proved)


def the_backups_are_kept(ops: Ops, proved: dict) -> None:
    """Its vault is looked after as well while the host is gone, and what was found out is locked."""
    kept = ops("run", "playbooks/keep-backups.yaml", "--limit", "bakery", "--yes")
    assert kept.exit_status == 0, kept.text
    assert f"1 backup whole at level 1, {proved['snapshot']['snap']} at level 2" in kept.text
    assert "nothing is over; 1 backup kept" in kept.text
    assert "last successful drill today, promised every quarter" in ops("backups", "bakery").text
    locks = bucket.locks(
        ops.lab, f"{proved['snapshot']['manifest'].rpartition('/snap/')[0]}/verify/"
    )
    assert (
        len(locks) >= 4
    )  # a verdict and a certificate, signed; drills of before are there as well
    assert all(until > datetime.now(UTC) + timedelta(days=30) for until in locks.values())


def look_at_the_certificate(ops: Ops, proved: dict) -> None:
    path = certificates(ops)[-1]
    keys = ops.folder / ".opsplay" / "keys" / "allowed_signers"
    words = ["ssh-keygen", "-Y", "verify", "-f", keys, "-I", "opsplay", "-n", "opsplay"]
    text = path.read_bytes()
    assert subprocess.run([*words, "-s", f"{path}.sig"], input=text, check=False).returncode == 0
    forged = text.replace(b"SUCCESSFUL", b"SUCCESSFUl")
    assert subprocess.run([*words, "-s", f"{path}.sig"], input=forged, check=False).returncode != 0
    stored = bucket.objects(ops.lab)
    key = f"{proved['snapshot']['manifest'].rpartition('/snap/')[0]}/verify/{path.name}"
    assert stored[key] == text
    assert stored[f"{key}.sig"] == Path(f"{path}.sig").read_bytes()
    french = path.with_suffix(".fr.html").read_text()
    assert '<html lang="fr">' in french
    assert "Réussi" in french
    assert str(path.with_suffix(".fr.html"))[len(str(ops.folder)) + 1 :] in ops("logs", "last").text


def test_a_dump_that_was_cut_short_fails_the_drill_and_is_named(ops, sealing):
    snap = sealing.with_dump("cut001", lambda dump: dump[: len(dump) // 2])

    drilled = ops("drill", "bakery", "--snapshot", snap)

    assert drilled.exit_status == FAILED, drilled.text
    found = newest(ops)
    assert (found["verdict"], found["restore"]["status"]) == ("FAILED", "failed"), drilled.text
    assert "dump" in " ".join(reason["text"] for reason in found["reasons"])
    assert scratches(ops) == []


def test_a_vault_without_any_backup_fails_the_drill(ops):
    drilled = ops("drill", "florist")

    assert drilled.exit_status == FAILED, drilled.text
    assert "holds no good backup" in drilled.text, drilled.text
    assert scratches(ops) == []


@pytest.mark.proof
def test_rows_that_are_missing_are_counted_and_named(ops, sealing):
    rows = int(sealing.good.consistency.watermarks["rows:wp_posts"])
    snap = sealing.with_marks(
        "rows01", rows__wp_posts=str(rows + 2), rows__wp_orders="14", last_post_id="9999"
    )

    drilled = ops("drill", "bakery", "--snapshot", snap)

    assert drilled.exit_status == FAILED, drilled.text
    found = newest(ops)
    assert (found["verdict"], found["restore"]["status"]) == ("FAILED", "restored"), drilled.text
    assert f"table wp_posts has {rows} of {rows + 2} rows" in drilled.text, drilled.text
    assert "table wp_orders is missing (14 rows)" in drilled.text, drilled.text
    assert "post 9999" in drilled.text, drilled.text


@pytest.mark.proof
def test_a_file_that_is_missing_is_named(ops, sealing):
    def lost(listed):
        photo = next(one for one in listed if one.path.endswith(".jpg"))
        return (*listed, replace(photo, path="wp-content/uploads/lost.jpg"))

    snap = sealing.with_files("file01", lost)

    drilled = ops("drill", "bakery", "--snapshot", snap)

    assert drilled.exit_status == FAILED, drilled.text
    assert "wp-content/uploads/lost.jpg" in drilled.text, drilled.text


@pytest.mark.proof
def test_a_promise_that_was_not_kept_fails_the_drill_although_all_came_back(ops, sealing):
    started = sealing.good.started_at - timedelta(days=3)
    sealing.sealed("zzlate", started_at=started)

    drilled = ops("drill", "bakery")

    try:
        assert drilled.exit_status == FAILED, drilled.text
        found = newest(ops)
        assert (found["verdict"], found["restore"]["status"]) == ("FAILED", "restored"), (
            drilled.text
        )
        (reason,) = found["reasons"]
        assert reason["code"] == "old"
        assert "3 d" in reason["text"]
    finally:
        sealing.vault.delete(f"{sealing.good.folder}/snap/20991231T235959-zzlate.json")


@pytest.mark.proof
def test_a_backup_that_a_stranger_sealed_is_not_proved(ops, sealing):
    snap = sealing.sealed("forged")
    key = f"{sealing.good.folder}/snap/{snap}.json"
    bucket.replace(ops.lab, f"{key}.sig", b"no signature")

    drilled = ops("drill", "bakery", "--snapshot", snap)

    assert drilled.exit_status == FAILED, drilled.text
    assert "not signed by a key that is trusted here" in drilled.text, drilled.text


@pytest.mark.proof
def test_what_a_killed_drill_left_is_cleared_away_by_the_next_one(ops, sealing):
    process = ops.start("drill", "bakery", "--snapshot", sealing.good.snap)
    wait_for(partial(restoring, ops), process)

    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = scratches(ops)
    drilled = ops("drill", "bakery", "--snapshot", sealing.good.snap)

    assert drilled.exit_status == 0, drilled.text
    assert not left.exists()
    assert scratches(ops) == []
    assert alive(left) == []


@pytest.mark.proof
def test_a_drill_that_is_stopped_leaves_nothing(ops, sealing):
    process = ops.start("drill", "bakery", "--snapshot", sealing.good.snap)
    wait_for(partial(restoring, ops), process)
    (place,) = scratches(ops)

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == ExitStatus.INTERRUPTED
    assert scratches(ops) == []
    assert alive(place) == []


def restoring(ops: Ops) -> bool:
    """Return whether a drill has begun to fetch."""
    return any((one / "home/.opsplay/restore").is_dir() for one in scratches(ops))


def alive(place: Path) -> list[str]:
    """Return the command lines of the processes that were at work in a directory."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(place) in words:
            found.append(words)
    return found


@pytest.mark.proof
def test_a_drill_on_a_host_of_its_own_leaves_it_empty(ops, sealing):
    inventory = ops.folder / "inventory" / "lab.yaml"
    before = inventory.read_text()
    florist = ops.lab.environment("florist", "staging")
    drill = _DRILL.format(host="lab-web3", root=florist.root, url=florist.url)
    inventory.write_text(before.replace("  florist:\n", drill + "  florist:\n"))
    database = database_of(florist.root / "wp-config.php")
    try:
        drilled = ops("drill", "bakery", "--snapshot", sealing.good.snap)
    finally:
        inventory.write_text(before)

    assert drilled.exit_status == 0, drilled.text
    assert [one.name for one in florist.root.iterdir()] == ["wp-config.php"]
    assert database_of(florist.root / "wp-config.php") == database
    assert ops.lab.sql("florist", "staging", "SHOW TABLES") == ()
    assert scratches(ops) == []
    assert list(ops.lab.places.home("web3").glob(".opsplay/drill/*")) == []
    assert locks(ops, "web3") == []


def database_of(configuration: Path) -> list[str]:
    return [line for line in configuration.read_text().splitlines() if "'DB_" in line]


_DRILL = """\
      drill:
        host: "{host}"
        root: "{root}"
        url: "{url}"
"""
