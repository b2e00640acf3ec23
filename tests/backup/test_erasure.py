"""Who asked to be erased does not come back with a backup: on a real MariaDB and a real S3 server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyrage
import pytest
from tests.backup.conftest import KEY, Bench, make_environment

from opsplay.core.action import Store
from opsplay.core.erasure import Erasure, prefix
from opsplay.core.errors import InvalidInput, OpsplayError, StepFailed, VaultRefused
from opsplay.engine.erasing import carry_out, meant
from opsplay.engine.erasures import Ledger, Wish, replay
from opsplay.engine.keys import keyed, readers
from opsplay.engine.signature import Signer, new_private_key
from opsplay.kit.secret import Secret

pytestmark = pytest.mark.real

ANNA = "anna@mail.example"
NOW = datetime(2026, 11, 22, 5, 31, tzinfo=UTC)
PEOPLE = """
CREATE TABLE people (
  id INT PRIMARY KEY AUTO_INCREMENT, mail VARCHAR(99) CHARACTER SET latin1, name VARCHAR(40) NULL,
  phone VARCHAR(20) NOT NULL DEFAULT '?', born DATE NOT NULL, points INT NOT NULL
);
INSERT INTO people (mail, name, phone, born, points) VALUES
  ('anna@mail.example', 'Anna', '+33 1', '1990-01-02', 7), ('ANNA@mail.example', 'Other', '+33 2',
  '1991-01-02', 8), ('anna@mail.example', 'Anna again', '+33 1', '1990-01-02', 9);
INSERT INTO people (id, mail, name, phone, born, points) VALUES
  (12, CONVERT(X'7A6FC3AB273B2044524F50205441424C452070656F706C653B202D2D205C2022C2A060' USING utf8mb4),
  'Odd', '', '1992-01-02', 1);
"""


@pytest.fixture
def shop(bench: Bench) -> Iterator[Bench]:
    bench.mariadb.sql(PEOPLE, bench.database)
    return bench


@pytest.fixture
def ledger(shop: Bench) -> Ledger:
    return Ledger(shop.site.name, shop.vault, shop.settings)


def wish(**changes) -> Wish:
    usual = {
        "table": "people", "key_column": "mail", "key_value": ANNA, "delete": True, "columns": {},
        "asked_by": "register 2026-17", "asked_on": date(2026, 11, 20),
    }  # fmt: skip
    return Wish(**usual | changes)


def ask(bench: Bench, question: str, database: str = "") -> list[str]:
    return bench.mariadb.sql(question, database or bench.database).splitlines()


def mails(bench: Bench, database: str = "") -> list[str]:
    return ask(bench, "SELECT mail FROM people WHERE id < 12 ORDER BY id", database)


def test_a_restored_site_does_not_hold_whoever_was_erased(shop: Bench, ledger: Ledger):
    snapshot = shop.take(store=Store(include=("database",)))
    shop.clock.sleep(86400)
    request = ledger.record(wish(), shop.clock)

    shop.restore(snapshot, include=["database"])

    assert mails(shop) == ["ANNA@mail.example"]
    assert not (shop.root / "closed").exists()
    assert replay(ledger, snapshot.started_at, shop.site, shop.transport) == (request,)


def test_a_request_is_replayed_on_old_snapshots_and_not_on_newer_ones(shop: Bench, ledger: Ledger):
    first = shop.take(store=Store(include=("database",)))
    shop.clock.sleep(86400 * 200)
    second = shop.take(store=Store(include=("database",)))
    shop.clock.sleep(86400)
    request = ledger.record(wish(), shop.clock)
    shop.clock.sleep(86400)
    third = shop.take(store=Store(include=("database",)))

    assert [ledger.owed(one.started_at) for one in (first, second, third)] == [
        (request,),
        (request,),
        (),
    ]
    assert replay(ledger, third.started_at, shop.site, shop.transport) == ()
    assert mails(shop) == [ANNA, "ANNA@mail.example", ANNA]  # whoever came back since stays


def test_a_snapshot_taken_before_the_live_site_was_done_is_replayed_too(
    shop: Bench, ledger: Ledger
):
    request = ledger.record(wish(), shop.clock)
    shop.clock.sleep(86400)
    between = shop.take(store=Store(include=("database",)))
    shop.clock.sleep(86400)
    ledger.note_applied(request, shop.clock)
    shop.clock.sleep(86400)
    after = shop.take(store=Store(include=("database",)))

    assert [ledger.owed(one.started_at) for one in (between, after)] == [(request,), ()]


def test_an_erasure_is_replayed_wherever_the_snapshot_goes(shop: Bench, ledger: Ledger, tmp_path):
    staging = make_environment(tmp_path / "www", "staging", shop.mariadb, filled=False)
    site = replace(shop.site, environments={**shop.site.environments, "staging": staging})
    database = (Path(staging.root) / "config.cnf").read_text().split()[2]
    snapshot = shop.take()
    ledger.record(wish(), shop.clock)

    shop.restore(snapshot, site=site.at("staging"))

    assert mails(shop, database) == ["ANNA@mail.example"]
    assert mails(shop) == [ANNA, "ANNA@mail.example", ANNA]


def test_columns_are_emptied_or_overwritten_and_read_back(shop: Bench, ledger: Ledger):
    columns = dict.fromkeys(("name", "phone", "born", "points")) | {"mail": "erased@shop.invalid"}
    request = ledger.record(wish(delete=False, columns=columns), shop.clock)

    rows = [carry_out([request], shop.site, shop.transport) for _ in range(2)]

    assert rows == [2, 0]
    told = ask(shop, "SELECT name, phone, born, points, mail FROM people WHERE id IN (1, 2)")
    assert told == [
        "NULL\t\t0000-00-00\t0\terased@shop.invalid",
        "Other\t+33 2\t1991-01-02\t8\tANNA@mail.example",
    ]


def test_a_number_is_looked_for_as_it_is_written(shop: Bench):
    written = ["1", "1; DELETE FROM people", "1 OR 1=1", "01", "1.0", "1x", " 1"]
    now, name = shop.clock.now(), shop.site.name
    requests = [wish(key_column="id", key_value=value).on(name, now) for value in written]

    rows = meant(requests, shop.site, shop.transport)

    assert [rows[one.id] for one in requests] == [1, 0, 0, 0, 0, 0, 0]


def test_a_value_is_never_sql(shop: Bench, ledger: Ledger):
    odd = ask(shop, "SELECT mail FROM people WHERE id = 12")[0].replace("\\\\", "\\")
    text = "'); DROP TABLE people; -- \\' \" ` \\! touch x"
    request = ledger.record(
        wish(key_value=odd, delete=False, columns={"name": text[:40]}), shop.clock
    )

    assert carry_out(ledger.requests(), shop.site, shop.transport) == 1
    assert ask(shop, "SELECT HEX(name) FROM people WHERE id = 12") == [
        text[:40].encode().hex().upper()
    ]
    assert request.key_value == odd


@pytest.mark.parametrize("where", ["table", "key_column", "columns"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(where: str):
    odd = ("people`; DROP TABLE people; --", "people x", "", "mysql.user", "naïve", "a" * 65)
    for name in (*odd, "x\n", "x'"):
        changes = {"columns": {name: None}, "delete": False}
        with pytest.raises(InvalidInput, match="no name of a table or column"):
            wish(**changes if where == "columns" else {where: name}).on("shop", NOW)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key_value": ""}, "everybody"),
        ({"delete": False}, "either"),
        ({"columns": {"name": None}}, "either"),
        ({"key_value": "a\0b"}, "NUL"),
        ({"key_value": "x" * 5000}, "4096"),
        ({"key_value": "\udcff"}, "UTF-8"),
        ({"asked_by": " "}, "--asked-by"),
        ({"at_most": 0}, "at least one"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes, says):
    with pytest.raises(InvalidInput, match=says):
        wish(**changes).on("shop", NOW)


def test_a_request_that_means_too_many_rows_touches_none(shop: Bench, ledger: Ledger):
    request = ledger.record(wish(at_most=1), shop.clock)

    with pytest.raises(StepFailed, match="means 2 rows of people, and at most 1"):
        carry_out([request], shop.site, shop.transport)
    assert len(mails(shop)) == 3


def test_a_table_that_an_old_snapshot_lacks_holds_nobody_but_a_column_must_be_there(shop: Bench):
    absent = wish(table="newsletter").on(shop.site.name, shop.clock.now())
    lacking = wish(key_column="email").on(shop.site.name, shop.clock.now())

    assert carry_out([absent], shop.site, shop.transport) == 0
    with pytest.raises(StepFailed, match="people has no column email"):
        carry_out([lacking], shop.site, shop.transport)


def test_what_the_database_quotes_does_not_come_out(shop: Bench, ledger: Ledger):
    shop.mariadb.sql("ALTER TABLE people ADD UNIQUE (name)", shop.database)
    request = ledger.record(wish(delete=False, columns={"name": "secret-alias"}), shop.clock)

    with pytest.raises(StepFailed, match="the database refused") as caught:
        carry_out([request], shop.site, shop.transport)
    assert "secret-alias" not in str(caught.value)
    assert ask(shop, "SELECT COUNT(*) FROM people WHERE name = 'secret-alias'") == ["0"]


def test_a_text_that_does_not_fit_is_found_out(shop: Bench, ledger: Ledger):
    request = ledger.record(wish(delete=False, columns={"phone": "x" * 30}), shop.clock)

    with pytest.raises(StepFailed, match="still hold what they must not"):
        carry_out([request], shop.site, shop.transport)


def damage(bench: Bench, how: str, requests: list[Erasure]) -> None:
    key = f"{prefix(bench.site.name)}{requests[0].id}.json.age"
    body = bytearray(b"".join(bench.vault.get(key)))
    match how:
        case "gone":
            bench.vault.delete(key)
        case "flipped":
            body[-5] ^= 1
            bench.vault.put(key, bytes(body), replace=True)
        case "emptied":
            bench.vault.put(key, b"", replace=True)
        case "not for us":
            other = pyrage.x25519.Identity.generate().to_public()
            bench.vault.put(key, pyrage.encrypt(b"{}", [other]), replace=True)
        case "swapped":
            bench.vault.put(key, entry_of(bench, requests[1]), replace=True)
        case "not json":
            bench.vault.put(key, pyrage.encrypt(b"{", [KEY.to_public()]), replace=True)
        case "a stranger":
            bench.vault.put(f"{prefix(bench.site.name)}note.txt", b"hello")


def entry_of(bench: Bench, request: Erasure) -> bytes:
    return b"".join(bench.vault.get(f"{prefix(bench.site.name)}{request.id}.json.age"))


def test_a_restore_does_not_begin_with_a_ledger_that_cannot_be_read(shop: Bench, ledger: Ledger):
    before = shop.take()
    requests = [ledger.record(wish(), shop.clock)]
    damage(shop, "flipped", requests)
    (shop.root / "run.sh").write_text("newer")

    with pytest.raises(VaultRefused, match="cannot be relied on") as caught:
        shop.restore(before)
    assert "as it was" in caught.value.state
    assert (shop.root / "run.sh").read_text() == "newer"
    assert not (shop.root / "closed").exists()


def test_a_site_that_still_holds_somebody_stays_closed(shop: Bench, ledger: Ledger):
    snapshot = shop.take()
    ledger.record(wish(at_most=1), shop.clock)

    with pytest.raises(StepFailed, match="means 2 rows") as caught:
        shop.restore(snapshot)
    assert "stays closed" in caught.value.state
    assert (shop.root / "closed").exists()


@pytest.mark.parametrize(
    "how", ["gone", "flipped", "emptied", "not for us", "swapped", "not json", "a stranger"]
)
def test_a_damaged_ledger_keeps_the_site_closed(shop: Bench, ledger: Ledger, how: str):
    snapshot = shop.take(store=Store(include=("database",)))
    requests = [
        ledger.record(wish(), shop.clock),
        ledger.record(wish(table="nothing", key_column="a"), shop.clock),
    ]
    requests.sort(key=lambda one: len(one.after))
    damage(shop, how, requests)

    with pytest.raises(OpsplayError) as caught:
        replay(ledger, snapshot.started_at, shop.site, shop.transport)
    assert "stays closed" in caught.value.state
    assert len(mails(shop)) == 3


def test_without_the_identity_the_ledger_cannot_be_read(shop: Bench, ledger: Ledger):
    snapshot = shop.take(store=Store(include=("database",)))
    ledger.record(wish(), shop.clock)
    blind = replace(ledger, settings=replace(shop.settings, identity=None))

    with pytest.raises(InvalidInput, match="identity"):
        replay(blind, snapshot.started_at, shop.site, shop.transport)


def test_only_signed_requests_are_carried_out(shop: Bench, ledger: Ledger):
    ours, theirs = (Signer.of(new_private_key()) for _ in range(2))
    signed = replace(ledger, signer=ours, trusted=(ours.public,))
    signed.record(wish(), shop.clock)

    assert len(signed.entries()) == 1
    replace(ledger, signer=theirs).record(wish(table="orders", key_column="id"), shop.clock)
    with pytest.raises(VaultRefused, match="not signed by a key that is trusted"):
        signed.entries()


def test_the_ledger_in_the_vault_shows_nobody_anything(shop: Bench, ledger: Ledger):
    request = ledger.record(wish(), shop.clock)
    stored = entry_of(shop, request)

    assert b"anna" not in stored
    assert b"people" not in stored
    text = pyrage.decrypt(stored, [KEY]).decode()
    assert "DELETE FROM `people` WHERE CAST(CONVERT(`mail` USING utf8mb4) AS BINARY)" in text


def test_a_stranger_carries_requests_out_with_the_readme(shop: Bench, ledger: Ledger, tmp_path):
    shop.take(store=Store(include=("database",)))
    ledger.record(wish(), shop.clock)
    ledger.record(
        wish(key_column="id", key_value="12", delete=False, columns={"born": None}), shop.clock
    )
    for one in shop.vault.keys(f"v1/{shop.site.name}/"):
        (tmp_path / one.key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one.key).write_bytes(b"".join(shop.vault.get(one.key)))
    (tmp_path / "key.txt").write_text(str(KEY))
    access = (shop.root / "config.cnf").read_text()
    (tmp_path / "access.cnf").write_text(access)
    manual = (tmp_path / f"v1/{shop.site.name}/README.txt").read_text()
    lines = manual.partition("older than the backup):\n")[2].partition("\n\n")[0]

    script = lines.replace("access.cnf shop", f"access.cnf {shop.database}")
    subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True)

    assert mails(shop) == ["ANNA@mail.example"]
    assert ask(shop, "SELECT born FROM people WHERE id = 12") == ["0000-00-00"]


class Client:
    """A client with keys of its own."""

    def __init__(self) -> None:
        self.key = pyrage.x25519.Identity.generate()
        self.recipients = (str(self.key.to_public()),)
        self.identity = Secret("file:client.txt", lambda _reference: str(self.key))

    def owns(self, bench: Bench) -> Bench:
        site = replace(bench.site, recipients=self.recipients, identity=self.identity)
        return replace(bench, site=site, settings=keyed(bench.settings, site))


def test_a_clients_backup_is_for_that_client_alone(shop: Bench):
    mine, other = Client(), Client()
    owned = mine.owns(shop)
    before = owned.fingerprint()
    snapshot = owned.take()
    owned.destroy()

    for stranger in (shop.settings, keyed(shop.settings, other.owns(shop).site)):
        with pytest.raises(OpsplayError, match=r"cannot be decrypted|identity|No matching keys"):
            owned.restore(snapshot, settings=stranger)
    assert [one.age_recipient for one in snapshot.recipients] == list(mine.recipients)
    owned.restore(snapshot)
    assert owned.fingerprint() == before


def test_what_was_saved_before_a_client_had_keys_comes_back_all_the_same(shop: Bench):
    before = shop.fingerprint()
    snapshot = shop.take()
    shop.destroy()

    Client().owns(shop).restore(snapshot)

    assert shop.fingerprint() == before


def test_it_is_told_who_can_decrypt(shop: Bench):
    mine = Client().owns(shop).site
    shredded = replace(mine, identity=None)

    assert readers(shop.settings, shop.site).here == (str(KEY.to_public()),)
    assert readers(shop.settings, mine).here == mine.recipients
    assert readers(shop.settings, mine).whose == "the client's own keys"
    assert readers(shop.settings, shredded).here == ()
