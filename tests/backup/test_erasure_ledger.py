"""What the ledger of erasures remembers, misses, and may forget; and its SQL. Nothing is started."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pyrage
import pytest

from opsplay.app.doctor import _readers
from opsplay.core import erasure, erasure_sql
from opsplay.core.erasure import Applied, Erasure
from opsplay.core.errors import InvalidInput, UnreadableAnswer
from opsplay.core.retention import plan_named
from opsplay.core.site import Site
from opsplay.core.vault import StoredObject, VaultSettings
from opsplay.engine.expire_sweep import Sweep
from opsplay.kit.secret import Secret

NOW = datetime(2026, 11, 22, 5, 31, tzinfo=UTC)


def name(days: float, letter: str = "a") -> str:
    return f"{NOW + timedelta(days=days):%Y%m%dT%H%M%S}-{letter * 6}"


def request(days: float = 0, after: tuple[str, ...] = (), **changes) -> Erasure:
    usual = {
        "table": "people", "key_column": "mail", "key_value": "anna", "delete": True, "columns": {},
    }  # fmt: skip
    at = NOW + timedelta(days=days)
    return Erasure(
        id=name(days), site="shop", recorded_at=at, asked_on=date(2026, 11, 20), asked_by="r 17",
        after=after, **usual | changes,
    )  # fmt: skip


def applied(one: Erasure, days: float) -> Applied:
    return Applied(name(days, "b"), "shop", one.id, NOW + timedelta(days=days), (one.id,))


def by_name(*entries):
    return {one.id: one for one in entries}


def test_a_request_is_due_for_what_was_begun_before_the_live_site_was_done():
    one = request()
    done = applied(one, 10)
    begun = [NOW + timedelta(days=days) for days in (-300, 5, 10, 11)]

    assert [erasure.due([one, done], at) == (one,) for at in begun] == [True, True, True, False]
    assert [erasure.due([one], at) == (one,) for at in begun] == [True, False, False, False]


def test_an_entry_that_is_gone_is_missed_while_a_snapshot_may_need_it():
    first = request(-400)
    second = request(0, after=(first.id,))

    assert erasure.missing(by_name(first, second)) == ()
    assert erasure.missing(by_name(second)) == (first.id,)
    assert erasure.missing(by_name(second), NOW - timedelta(days=500)) == (first.id,)
    assert erasure.missing(by_name(second), NOW - timedelta(days=300)) == ()


def test_a_note_without_its_request_is_missed_as_long_as_it_matters():
    lost = request(-10)
    note = applied(lost, 0)

    assert erasure.missing({note.id: note}, NOW - timedelta(days=5)) == (lost.id,)
    assert erasure.missing({note.id: note}, NOW + timedelta(days=5)) == ()


def test_an_entry_is_outlived_by_a_quarter_only():
    assert not erasure.outlived(name(0), NOW + timedelta(days=89))
    assert erasure.outlived(name(0), NOW + timedelta(days=91))


def test_text_and_entry_are_the_same():
    one = request(columns={"name": None, "mail": "x é"}, delete=False, after=(name(-1),))
    for entry in (one, applied(one, 1)):
        assert erasure.from_json(erasure.to_json(entry), "here") == entry


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"schema": 2}', b'{"schema": 1, "kind": "else"}']
)
def test_what_is_no_entry_is_refused_by_name(text: bytes):
    with pytest.raises(UnreadableAnswer, match="v1/shop/erasures/x"):
        erasure.from_json(text, "v1/shop/erasures/x")


def test_an_edited_entry_that_would_be_sql_is_refused():
    text = erasure.to_json(request()).replace(b'"people"', b'"people` WHERE 1; --"')

    with pytest.raises(UnreadableAnswer, match="no name of a table"):
        erasure.from_json(text, "here")
    with pytest.raises(InvalidInput, match="no name of a request"):
        Erasure("x'; --", "shop", NOW, NOW.date(), "r", "t", "k", "v", delete=True)


def test_nothing_that_anybody_wrote_stands_in_the_sql_as_it_is():
    odd = "'; DROP TABLE people; -- \\ \" `\n"
    one = request(key_value=odd, delete=False, columns={"name": odd, "born": None})
    words = erasure_sql.apply([one]) + erasure_sql.count([one]) + erasure_sql.look([one])

    assert odd.encode().hex().upper() in words
    literals = re.sub(r"X'[0-9A-F]*'|'[\w :.\[\]^-]*'|`\w+`", "", words)
    assert "'" not in literals
    assert '"' not in words
    assert "\\" not in words
    assert "DROP" not in words


@pytest.mark.parametrize("text", ["", "erasure\tx\t1\n", "erasures\tend\t0\nmore\n"])
def test_an_answer_without_its_end_proves_nothing(text: str):
    with pytest.raises(UnreadableAnswer, match="has no end"):
        erasure_sql.read_counts(text, [request()])


def test_an_answer_that_leaves_a_request_out_proves_nothing():
    with pytest.raises(UnreadableAnswer, match=request().id):
        erasure_sql.read_counts("erasure\tother\t0\nerasures\tend\t0\n", [request()])


def test_expiry_lets_a_request_go_when_no_backup_is_as_old():
    key = erasure.key(request(-200))
    stored = StoredObject(key, 1, modified=NOW - timedelta(days=200))
    sealed = SimpleNamespace(segments=(), key="k", follows=())

    def going(days: float, unclear: tuple[object, ...] = ()) -> list[str]:
        begun = NOW - timedelta(days=days)
        staying = SimpleNamespace(snapshot=SimpleNamespace(**vars(sealed), started_at=begun))
        sweep = Sweep({key: (stored,)}, [staying], [], unclear, {}, plan_named("essentiel"), NOW)
        assert sweep.unknown() == ()
        return [one.version.key for one in sweep.objects()]

    assert going(35) == [key]
    assert going(120) == going(300) == []
    assert going(35, (SimpleNamespace(folder="v1/shop/2026-09"),)) == []


class Opened:
    """What the doctor needs of a workshop."""

    def __init__(self, settings: VaultSettings) -> None:
        self.settings = settings

    def vault(self, _name: str) -> tuple[None, VaultSettings]:
        return None, self.settings


def secret(text: str) -> Secret:
    return Secret("file:key.txt", lambda _reference: text)


def test_the_doctor_says_who_can_decrypt_what():
    ours, theirs = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    settings = VaultSettings("offsite", "memory", recipients=(str(ours.to_public()),))
    site = Site("bakery", "wordpress", {}, vault="offsite")
    client = replace(site, recipients=(str(theirs.to_public()),))
    cases = {
        "vault offsite (1 recipient); this machine can": (site, secret(str(ours)), True),
        "this machine has no identity": (site, None, True),
        "no `identity` here belongs to them": (site, secret(str(theirs)), False),
        "cannot be read": (site, secret("AGE-SECRET-KEY-1NONE"), False),
        "own keys (1 recipient); this machine can": (
            replace(client, identity=secret(str(theirs))), secret(str(ours)), True,
        ),
        "own keys (1 recipient); this machine has no": (client, secret(str(ours)), True),
        "own keys (1 recipient), and no `identity`": (
            replace(client, identity=secret(str(ours))), None, False,
        ),
    }  # fmt: skip

    for says, (seen, identity, good) in cases.items():
        found = _readers(seen, Opened(replace(settings, identity=identity)))
        assert says in found.told
        assert found.good is good


@pytest.mark.parametrize("stored", ["v1/shop/erasures/note.txt", "v1/shop/erasures/x.json.age"])
def test_a_strangers_object_is_no_entry(stored: str):
    with pytest.raises(UnreadableAnswer, match="no entry of a ledger"):
        erasure.name_of(stored)
