"""A run's backups: incremental without any identity on this machine, and loud about damage."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pyrage
import pytest
from rich.console import Console
from tests.engine.workplace import Workplace

from opsplay import app
from opsplay.app.keeping import shelves
from opsplay.core.environment import Host
from opsplay.core.errors import ExitStatus
from opsplay.core.query import Query
from opsplay.engine import store_act
from opsplay.reports.backups import backups_table
from opsplay.reports.lines import Lines
from opsplay.reports.story import tell
from opsplay.reports.summary import summary
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real

BACKUP = "- {name: Protect, steps: [backup: {include: [files]}]}"
FULL = "- {name: Protect, steps: [backup: {include: [files], full: true}]}"
PAGES = [f"page-{n:02d}.html" for n in range(30)]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch) -> Workplace:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    recipient = pyrage.x25519.Identity.generate().to_public()
    vault = f'{{kind: folder, folder: "{tmp_path}/vault", recipients: [{recipient}]}}'
    made = Workplace(tmp_path, vault="here", variables={"v": f"vaults: {{here: {vault}}}"}).build()
    for name in PAGES:
        (made.root() / name).write_text(name)
    return made


def result(run) -> dict:
    """Return the facts of the run's one backup."""
    (found,) = (one.data for one in run.events if one.kind == "result")
    return found["facts"] | {"detail": found["detail"]}


def test_the_second_backup_needs_no_identity_and_stores_what_changed(shop: Workplace):
    first = result(shop.run(BACKUP))
    (shop.root() / "page-00.html").write_text("edited")
    second = result(shop.run(BACKUP))

    assert (first["kind"], first["suspect"]) == ("full", [])
    assert (second["kind"], second["changed"], second["added"]) == ("incr", 1, 0)
    kept = list((shop.options.state / "indexes").iterdir())
    assert len(kept) == 2
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert kept[0].parent.stat().st_mode & 0o777 == 0o700


def test_a_backup_that_looks_like_damage_ends_the_step_with_a_warning(shop: Workplace):
    shop.run(BACKUP)
    for name in PAGES:
        (shop.root() / name).unlink()
    run = shop.run(BACKUP)

    assert run.exit_status == ExitStatus.DONE
    assert result(run)["detail"].startswith("WARNING: production of bakery looks damaged: 30 of")
    text = str(summary(tell(run.events)))
    assert "WARNING: the site looks damaged: 30 of 32 files were removed" in text
    assert result(shop.run(BACKUP))["suspect"] != []
    assert result(shop.run(FULL))["suspect"] == []
    assert result(shop.run(BACKUP))["kind"] == "incr"


def test_a_manifest_that_a_stranger_stored_is_passed_over_and_everybody_is_told(shop: Workplace):
    shop.run(BACKUP)
    (sealed,) = shop.folder.glob("vault/v1/bakery/*/snap/*.json")
    forged = sealed.with_name("20991231T000000-ffffff.json")
    forged.write_text(json.dumps(json.loads(sealed.read_text()) | {"snap": forged.stem}))

    run = shop.run(BACKUP)

    assert result(run)["kind"] == "incr"
    (alarm,) = (one.data["told"] for one in run.events if one.kind == "alarm")
    assert "it is not signed by a key that is trusted here" in alarm
    assert f"WARNING: {alarm}" in str(summary(tell(run.events)))
    lines = Lines()
    assert any(alarm in line.text for event in run.events for line in lines.of(event))
    (shelf,) = shelves(shop.options, "bakery")
    assert [one.endswith("it does not count") for one in shelf.alarms] == [True]
    shown = io.StringIO()
    Console(file=shown, width=80).print(backups_table([shelf], shop.options.clock.now()))
    assert "DOES NOT COUNT: it is not signed by a key" in shown.getvalue()
    assert max(map(len, shown.getvalue().splitlines())) <= 80


def test_a_check_says_that_everything_would_be_saved(shop: Workplace):
    checked = app.check(shop.playbook(FULL), shop.options)

    (change,) = checked.plan.sites[0].stages[0].steps[0].changes
    assert change.what == "full backup of files"


def test_a_host_that_takes_too_long_fails_its_step_and_not_opsplay(shop: Workplace, monkeypatch):
    def silent(*_words, **_names):
        raise TimeoutError("the script did not end within 60 s")

    monkeypatch.setattr(store_act, "take", silent)

    run = shop.run(BACKUP)

    (ended,) = (one.data for one in run.events if one.kind == "step_finished")
    assert run.exit_status == ExitStatus.FAILED
    assert ended["state"] == "failed"
    assert ended["detail"].startswith("the host did not answer in time: the script did not end")
    assert "opsplay itself" not in str(summary(tell(run.events)))


def test_a_shop_whose_rows_take_too_long_to_count_is_saved_without_their_number(monkeypatch):
    monkeypatch.setattr(store_act, "_LONGEST_COUNT", 0.2)
    counting = Query("sleep 9", lambda answer: {"orders": answer.stdout})
    site = SimpleNamespace(cms=SimpleNamespace(watermarks=lambda: counting))
    context = SimpleNamespace(at=lambda _: site, transport=lambda _: LocalTransport(Host("local")))

    assert store_act._watermarks(context, "production") == {}
