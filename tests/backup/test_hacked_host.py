"""A hacked host tries everything its position allows: it reads, deletes and overwrites nothing.

Its script is the attacker's own; the controller and the storage (SeaweedFS, with versions and
locks) are the real ones. What it can do is save garbage as its own new backup.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.backup.conftest import SEGMENT, Bench
from tests.backup.shelf import SIGNER, SITE, STRANGER, TRUSTED, Keeper
from tests.vaults.seaweed import Seaweed

from opsplay.core.environment import Host
from opsplay.core.errors import OpsplayError, StepFailed, UnreadableAnswer, VaultRefused
from opsplay.core.snapshot import Snapshot, to_json
from opsplay.core.transport import Channel
from opsplay.core.vault import StoredObject, Vault, VaultSettings
from opsplay.engine.signature import SUFFIX
from opsplay.engine.snapshots import text
from opsplay.engine.store_dialogue import Dialogue
from opsplay.engine.store_script import Saved
from opsplay.engine.trust import Trust, find
from opsplay.engine.verify_known import known
from opsplay.kit.clock import FrozenClock, SystemClock
from opsplay.kit.shell import quote
from opsplay.transports.local import LocalTransport
from opsplay.vaults import open_vault

pytestmark = pytest.mark.real
BODY = b"what the hacked host wants to store" * 30
OTHER = b"something else, just as long as that".ljust(len(BODY))
LINE = httpx.Client()
GREETING = "READY comp=gzip crypt=age send=curl tar=gnu"


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture(scope="session", autouse=True)  # a module may be left and come back to
def line() -> Iterator[None]:
    with LINE:
        yield


@dataclass
class Shop:
    """A shop that was backed up before its host was hacked: nothing of that may change."""

    settings: VaultSettings
    clock: FrozenClock
    vault: Vault
    backup: Snapshot
    versions: dict[tuple[str, str], StoredObject]
    bodies: dict[str, bytes]

    def attacked_by(self, script: str) -> Hacked:
        """Let the attacker's script talk to the controller in place of ours."""
        channel = LocalTransport(Host("local")).open(script)
        dialogue = Dialogue(
            channel=channel,
            vault=self.vault,
            site=SITE,
            clock=self.clock,
            segment_bytes=SEGMENT,
            stored=lambda *_: None,
            retried=lambda *_: None,
            settings=self.settings,
            streams=(Saved("database", "true"),),
            preflight=f"v1/{SITE}/2026-11/preflight/attack",
        )
        name = secrets.token_hex(4)
        key = f"v1/{SITE}/2026-11/db/20261122T093100-{name}-database-1.sql.gz.age"
        return Hacked(channel, dialogue, key, self.clock.now() + timedelta(days=35))

    def backups(self) -> list[str]:
        return [one.snapshot.snap for one in known(self.vault, SITE, TRUSTED).backups]

    def is_as_it_was(self) -> bool:
        now = {(one.key, one.version_id): one for one in self.vault.versions(f"v1/{SITE}/")}
        same = all(now.get(which) == one for which, one in self.versions.items())
        newest = {one.key: one.version_id for one in reversed(now.values())}
        seen = all(newest[key] == version for key, version in self.versions)
        return same and seen and {key: text(self.vault, key) for key in self.bodies} == self.bodies


@dataclass
class Hacked:
    """The controller's real half of a backup, over a line to the attacker's script."""

    channel: Channel
    dialogue: Dialogue
    key: str
    retain_until: datetime

    def segment(self) -> OpsplayError | None:
        """Take one stream from the attacker; return what the controller says of it."""
        try:
            self.dialogue.greet()
            self.dialogue.stream("database", "db", self.key, self.retain_until)
            self.dialogue.farewell()
        except OpsplayError as error:
            self.dialogue.stop()
            return error
        finally:
            self.channel.close()
        return None


@pytest.fixture(scope="module")
def opened(seaweed: Seaweed) -> Shop:
    settings = replace(seaweed.settings(recipients=["age1nobody"]), lock="compliance")
    clock = FrozenClock(SystemClock().now())
    keeper = Keeper(clock=clock, vault=open_vault(settings))
    backup = keeper.back_up()
    versions = {(one.key, one.version_id): one for one in keeper.vault.versions(f"v1/{SITE}/")}
    bodies = {key: text(keeper.vault, key) for key, _ in versions}
    return Shop(settings, clock, keeper.vault, backup, versions, bodies)


@pytest.fixture
def shop(opened: Shop) -> Iterator[Shop]:
    """The shop; whatever a test tried, its backup is as it was, byte for byte."""
    yield opened
    assert opened.is_as_it_was()
    assert opened.backups() == [opened.backup.snap]


def speaking(*lines: str, loot: Path | None = None) -> str:
    """Return a script that greets as ours does, keeps what it is told, and then says these lines.

    A line `!COMMAND` is run by the shell.
    """
    told = quote(str(loot or "/dev/null"))
    script = [
        f"hear() {{ IFS= read -r line && printf '%s\\n' \"$line\" >>{told}; }}",
        f"printf '%s\\n' 'HOST os Linux' 'HOST curl 8' {quote(GREETING)}",
        "while hear; do case $line in GO*) break ;; TRY*) echo 'RES 0 0 400 BadDigest ' ;; esac; done",
    ]
    acts = [one[1:] if one[0] == "!" else f"printf '%s\\n' {quote(one)}" for one in lines]
    return "\n".join([*script, *acts, ""])


def announced(body: bytes = BODY, number: int = 0, name: str = "database") -> str:
    return f"SEG {name} {number} {len(body)} {sha256(body)}"


@dataclass
class Loot:
    """What the hacked host was told when it announced a body."""

    url: str
    headers: dict[str, str]
    told: str


@pytest.fixture
def loot(shop: Shop, tmp_path: Path) -> Loot:
    file = tmp_path / "loot"
    shop.attacked_by(speaking(announced(), "!hear", "!exit 0", loot=file)).segment()
    told = [line.partition(" ") for line in file.read_text().splitlines()]
    configs = [base64.b64decode(rest).decode() for word, _, rest in told if word in {"PUT", "TRY"}]
    found = re.search(r'^url = "(.+)"$', configs[-1], re.MULTILINE)
    headers = dict(re.findall(r'^header = "([^:]+): (.+)"$', configs[-1], re.MULTILINE))
    return Loot(found[1], headers, file.read_text() + "".join(configs))


def put(url: str, headers: dict[str, str], body: bytes) -> int:
    return LINE.put(url, content=body, headers=headers).status_code


def test_a_url_takes_the_announced_body_once_and_no_other(loot: Loot):
    address, headers = loot.url, loot.headers

    assert put(address, headers, OTHER) >= 400
    assert put(address, {**headers, "x-amz-checksum-sha256": _base64(OTHER)}, OTHER) >= 400
    assert put(address, headers, BODY + b"more") >= 400
    assert put(address, headers, BODY[:-1]) >= 400
    assert put(address, {}, BODY) >= 400
    assert put(address, {**headers, "If-None-Match": "other"}, BODY) >= 400
    assert put(address, headers, BODY) == 200
    assert put(address, headers, BODY) == 412, "a replayed URL overwrites nothing"
    assert put(address, headers, OTHER) >= 400


def _base64(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_a_url_neither_reads_nor_deletes_nor_lists(shop: Shop, loot: Loot):
    address, headers = loot.url, loot.headers
    parts = urlsplit(address)
    bucket = f"{parts.scheme}://{parts.netloc}/{shop.settings.bucket}"
    old = [f"{bucket}/{one}" for one in (shop.backup.key, shop.backup.segments[0].key)]

    for method in ("GET", "HEAD", "DELETE", "POST", "PATCH"):
        for target in (address, *(f"{one}?{parts.query}" for one in (*old, bucket, f"{bucket}/"))):
            for sent in (headers, {}):
                answer = LINE.request(method, target, headers=sent)
                assert answer.status_code >= 400, (method, target, answer.status_code)
                assert shop.backup.segments[0].sha256 not in answer.text


def test_a_url_serves_for_no_other_key(shop: Shop, loot: Loot):
    """Not for an old backup, another site, a manifest, a verdict, nor out of the prefix."""
    address, headers = loot.url, loot.headers
    parts = urlsplit(address)
    site = f"v1/{SITE}"
    keys = [
        shop.backup.key, f"{shop.backup.key}.sig", shop.backup.segments[0].key, f"{site}/README.txt",
        f"{site}/2026-11/snap/20991231T000000-ffffff.json", f"{site}/2026-11/verify/x-L4-y.json",
        f"{site}/expired/x.json", "v1/other-site/2026-11/db/x", "x", "../x", "v1/../x",
        f"{parts.path.partition('/v1/')[2]}/../../snap/x.json",
    ]  # fmt: skip

    for key in keys:
        target = f"{parts.scheme}://{parts.netloc}/{shop.settings.bucket}/{key}?{parts.query}"
        assert put(target, headers, BODY) >= 400, key
        assert put(f"{target}&versionId=null", headers, BODY) >= 400, key
    for extra in ("&acl", "&tagging", "&retention", "&legal-hold", "&uploads", "&delete"):
        assert put(address + extra, headers, BODY) >= 400, extra


def test_a_url_lives_for_minutes_and_cannot_be_stretched(loot: Loot):
    address, headers = loot.url, loot.headers
    query = parse_qs(urlsplit(address).query)
    (seconds,) = query["X-Amz-Expires"]

    assert int(seconds) <= 3600
    stretched = address.replace(f"X-Amz-Expires={seconds}", "X-Amz-Expires=604800")
    assert put(stretched, headers, BODY) >= 400
    assert (
        put(re.sub(r"X-Amz-Date=\w+", "X-Amz-Date=20991231T000000Z", address), headers, BODY) >= 400
    )


def test_a_lock_in_the_url_cannot_be_shortened_or_left_out(loot: Loot):
    address, headers = loot.url, loot.headers
    signed = parse_qs(urlsplit(address).query)["X-Amz-SignedHeaders"][0]
    assert {"if-none-match", "x-amz-checksum-sha256", "content-length"} <= set(signed.split(";"))
    for name in [one for one in headers if "lock" in one.lower()]:
        less = {key: value for key, value in headers.items() if key != name}
        assert put(address, less, BODY) >= 400, name
        assert put(address, {**headers, name: "2026-11-23T00:00:00Z"}, BODY) >= 400, name


def test_the_host_never_hears_a_credential_or_an_older_key(shop: Shop, loot: Loot):
    secret = shop.settings.secret_key.reveal()

    assert loot.url in loot.told
    assert secret not in loot.told
    assert "AGE-SECRET-KEY" not in loot.told
    for one in shop.backup.segments:
        assert one.key not in loot.told


LIES = {
    "it announces another stream": [announced(name="files-00")],
    "it names a path as a stream": [announced(name="../../snap/x")],
    "it begins in the middle": [announced(number=7)],
    "a segment larger than agreed": [f"SEG database 0 {SEGMENT + 1} {sha256(BODY)}"],
    "an empty segment": [f"SEG database 0 0 {sha256(b'')}"],
    "a size of many digits": [f"SEG database 0 {'9' * 400} {sha256(BODY)}"],
    "a sum that is none": ["SEG database 0 10 " + "Z" * 64],
    "it says that it is stored": [announced(), "!hear", "RES 0 0 200 - ", *(["!hear", "RES 0 0 200 - "] * 12)],
    "the result of another segment": [announced(), "!hear", "RES 9 0 200 - "],
    "a result of garbage": [announced(), "!hear", "RES \x01\x02 $(reboot)"],
    "an end without anything": ["END database 0", "PIPE database src=0 tee=0 comp=0 enc=0 bytes=0 sha256=" + "0" * 64 + " trailer=x"],
    "more than it sent": ["END database 5"],
    "done at once": ["DONE"],
    "a line without end": ["!head -c 300000 /dev/zero | tr '\\0' x"],
    "binary noise": ["!head -c 4096 /dev/urandom"],
    "silence": ["!exec >&-"],
    "commands for the controller": ["PUT aGFoYQ==", "STOP", "FILE x 10"],
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_host_gets_nothing_sealed(shop: Shop, lie: str):
    attack = shop.attacked_by(speaking(*LIES[lie]))

    error = attack.segment()

    assert isinstance(error, StepFailed | UnreadableAnswer | VaultRefused), (lie, error)
    assert shop.vault.head(f"{attack.key}.00000") is None


def test_a_flood_of_segments_ends_at_a_bound(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("opsplay.engine.store_dialogue._MOST_SEGMENTS", 3)
    monkeypatch.setattr("opsplay.engine.store_upload._PUT_ATTEMPTS", 2)
    body = bytes(SEGMENT)
    flood = (
        f"i=0; while printf 'SEG database %s {len(body)} {sha256(body)}\\n' $i; do hear || exit;"
        ' echo "RES $i 0 200 - "; hear || exit; i=$((i+1)); done'
    )

    assert isinstance(shop.attacked_by(speaking(f"!{flood}")).segment(), OpsplayError)


def test_a_hosts_clock_is_used_for_nothing(shop: Shop, loot: Loot):
    """Names, dates and locks come from the controller."""
    date = parse_qs(urlsplit(loot.url).query)["X-Amz-Date"][0]
    lock = {key.lower(): value for key, value in loot.headers.items()}

    assert abs(datetime.strptime(date, "%Y%m%dT%H%M%S%z") - shop.clock.now()) < timedelta(hours=1)
    assert lock["x-amz-object-lock-mode"] == "COMPLIANCE"
    until = datetime.fromisoformat(lock["x-amz-object-lock-retain-until-date"])
    assert abs(until - shop.clock.now() - timedelta(days=35)) < timedelta(hours=1)
    assert f"/v1/{SITE}/2026-11/db/20261122T093100-" in loot.url


def test_who_steals_the_daily_credential_makes_no_manifest_the_last_one(shop: Shop):
    """It may write, so that it could store a backup dated in the future: passed over, and told."""
    far = shop.backup.started_at.replace(year=2099)
    forged = replace(shop.backup, snap="20991231T000000-ffffff", chain="2099-12", started_at=far)
    told: list[str] = []
    trust = Trust(TRUSTED, shop.clock.now(), told.append)
    for key, body in (
        (forged.key + SUFFIX, STRANGER.sign(to_json(forged))),
        (forged.key, to_json(forged)),
    ):
        shop.vault.put(key, body)
    try:
        found = find(shop.vault, SITE, "last", trust)
        newest = known(shop.vault, SITE, TRUSTED).newest(trust)
        named = find(shop.vault, SITE, forged.snap, trust)
    finally:
        shop.vault.delete(forged.key)
        shop.vault.delete(forged.key + SUFFIX)

    assert found == shop.backup
    assert [one.snapshot for one in newest] == [shop.backup]
    assert named == forged, "who restores it is told why not"
    (passed,) = told
    assert "not signed by a key that is trusted here" in passed
    assert forged.key in passed


@pytest.mark.proof
def test_garbage_that_it_saves_as_its_own_leaves_the_old_backups_as_they_are(bench: Bench):
    """What it can do: encrypt all files, and have them saved. The older ones stay, byte for byte."""
    for number in range(30):
        (bench.root / f"page-{number}.html").write_text(f"page {number}")
    good = bench.take(signer=SIGNER)
    before = {one.key: text(bench.vault, one.key) for one in bench.vault.keys("v1/")}
    for path in bench.root.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name != "config.cnf":
            path.write_bytes(hashlib.sha256(path.name.encode()).digest() * 40)
    bench.clock.sleep(3600)

    bench.take(signer=SIGNER, run="20261122T063100-bad000")

    older, newer = known(bench.vault, bench.site.name, TRUSTED).backups
    assert older.snapshot == good
    assert newer.suspect
    assert {key: text(bench.vault, key) for key in before} == before
