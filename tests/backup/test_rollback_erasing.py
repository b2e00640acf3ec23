"""Who was erased since a restore point was made does not come back with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyrage
import pytest
from tests.engine.paper_cms import NAME, PaperCms
from tests.engine.workplace import Workplace

from opsplay.app.erasing import erase as record
from opsplay.core import drivers
from opsplay.core.errors import ExitStatus
from opsplay.engine import undo
from opsplay.engine.erasures import Wish
from opsplay.kit.clock import FrozenClock
from opsplay.language import inventory

pytestmark = pytest.mark.real

KEY = pyrage.x25519.Identity.generate()
WISH = Wish(
    "people", "mail", "anna@mail.example", delete=True, columns={}, asked_by="register 2026-17",
    asked_on=date(2026, 11, 20),
)  # fmt: skip
PUBLISH = """
- name: Publish
  maintenance: true
  on_failure: rollback
  steps: [{steps}]
"""
BACK = "- {name: Back, maintenance: true, steps: [rollback: {run: last}]}"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """Return a shop with a vault, and an update on offer."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BACKUP_KEY", str(KEY))
    monkeypatch.setitem(drivers._DRIVERS, NAME, PaperCms)
    inventory._schema.cache_clear()
    where = f'folder: "{tmp_path}/vault", recipients: [{KEY.to_public()}]'
    vault = f'{{kind: folder, {where}, identity: {{secret: "env:BACKUP_KEY"}}}}'
    made = Workplace(tmp_path, vault="here", variables={"v": f"vaults: {{here: {vault}}}"}).build()
    made.offer("2.0")
    yield made
    inventory._schema.cache_clear()


def publish(shop: Workplace, *more: str):
    return shop.run(PUBLISH.format(steps=", ".join(["cms_update: {to: latest}", *more])))


def erase(shop: Workplace) -> str:
    return record("bakery", WISH, shop.options, unseen=True).request.id


def spoil(shop: Workplace) -> None:
    """Make the ledger one that cannot be relied on."""
    folder = shop.folder / "vault/v1/bakery/erasures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "note.txt").write_text("hello")


def since(shop: Workplace, word: str) -> list[str]:
    """Return what was done from then on; a database is asked several times."""
    diary = shop.diary()
    return list(dict.fromkeys(diary[diary.index(word) :]))


def test_a_late_rollback_erases_again_before_it_opens(shop: Workplace):
    assert publish(shop).exit_status == ExitStatus.DONE
    erase(shop)

    back = shop.run(BACK)

    assert back.exit_status == ExitStatus.DONE
    assert since(shop, "put-back") == ["put-back", "sql", "open"]
    told = [one.data["detail"] for one in back.events if one.kind == "undo_result"]
    assert "erasure requests carried out again: 1" in told[-1]


def test_a_late_rollback_with_a_ledger_that_cannot_be_read_begins_nothing(shop: Workplace):
    publish(shop)
    spoil(shop)

    back = shop.run(BACK)

    assert back.exit_status == ExitStatus.FAILED
    assert "no entry of a ledger" in back.events[-2].data["detail"]
    assert "put-back" not in shop.diary()
    assert (shop.root() / "version").read_text() == "2.0\n"
    assert list(shop.folder.glob("*.closed"))


@pytest.mark.proof
def test_who_was_erased_before_the_restore_point_is_not_in_it_and_needs_no_key(shop, monkeypatch):
    long_ago = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))
    record("bakery", WISH, replace(shop.options, clock=long_ago), unseen=True)
    publish(shop)
    monkeypatch.delenv("BACKUP_KEY")

    assert shop.run(BACK).exit_status == ExitStatus.DONE
    assert since(shop, "put-back") == ["put-back", "open"]


def test_an_update_that_fails_goes_back_without_its_vault(shop: Workplace):
    """Its own run held the lock since the restore point: nobody can have been erased."""
    spoil(shop)

    ran = publish(shop, "command: {run: 'exit 3'}")

    assert ran.exit_status == ExitStatus.ROLLED_BACK
    assert since(shop, "put-back") == ["put-back", "open"]


@pytest.mark.proof
def test_a_run_that_erased_somebody_itself_does_it_again_when_it_goes_back(shop: Workplace):
    request = erase(shop)

    ran = publish(shop, f"erasure: {{requests: [{request}]}}", "command: {run: 'exit 3'}")

    assert ran.exit_status == ExitStatus.ROLLED_BACK
    assert since(shop, "put-back") == ["put-back", "sql", "open"]


@pytest.mark.proof
def test_a_lock_that_may_have_ended_meanwhile_proves_nothing(shop: Workplace, monkeypatch):
    erase(shop)
    monkeypatch.setattr(undo, "EXPIRY", undo.EXPIRY * 0)

    ran = publish(shop, "command: {run: 'exit 3'}")

    assert ran.exit_status == ExitStatus.ROLLED_BACK
    assert since(shop, "put-back") == ["put-back", "sql", "open"]
