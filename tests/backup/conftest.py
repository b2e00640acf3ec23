"""A site with odd file names and a real database, a host, and an S3 server."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pyrage
import pytest
from tests.backup import plain_cms
from tests.backup.database import Database
from tests.backup.database import running as database_running
from tests.backup.fault_proxy import FaultProxy, proxying
from tests.backup.userland import Userland
from tests.vaults.seaweed import Seaweed
from tests.vaults.seaweed import running as seaweed_running

from opsplay.core import drivers
from opsplay.core.action import Store
from opsplay.core.environment import Environment, Host
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.restore import Restored, bring_back
from opsplay.engine.restoring import Restoring
from opsplay.engine.store import take
from opsplay.kit.clock import FrozenClock
from opsplay.kit.secret import Secret
from opsplay.transports.local import LocalTransport
from opsplay.vaults import open_vault

CANARY = "canary-db-p4ssword-9d3e"
KEY = pyrage.x25519.Identity.generate()
IDENTITY = Secret("file:key.txt", lambda _reference: f"# a comment\n{KEY}\n")
SEGMENT = 128 * 1024
ODD_NAMES = ("line\nbreak.txt", "-rf", "éà 日本.txt", "with space", "qu'ote\"$x.txt", "a/b/.hidden")


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    """Make the plain CMS known to a test, and forget it afterwards: schemas name every driver."""
    with pytest.MonkeyPatch.context() as patch:  # its own: tests undo theirs in the middle
        patch.setitem(drivers._DRIVERS, plain_cms.NAME, plain_cms.PlainCms)
        yield


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed_running(Path(tmp_path_factory.mktemp("seaweed"))) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with database_running(Path(tmp_path_factory.mktemp("db"))) as server:
        yield server


@pytest.fixture
def proxy(seaweed: Seaweed) -> Iterator[FaultProxy]:
    with proxying(seaweed.port) as one:
        yield one


@dataclass
class Bench:
    """One site on this machine, its vault, and the verbs of the tests."""

    site: Site
    settings: VaultSettings
    mariadb: Database
    home: Path
    clock: FrozenClock

    @property
    def root(self) -> Path:
        return Path(self.site.here.root)

    @property
    def database(self) -> str:
        return self.site.vars["database"]

    @cached_property
    def vault(self) -> Vault:
        return open_vault(self.settings)

    @property
    def transport(self) -> LocalTransport:
        return LocalTransport(self.site.here.host)

    def through(self, proxy: FaultProxy) -> Vault:
        """Return the vault as seen through the proxy (signed URLs point there too)."""
        return open_vault(replace(self.settings, endpoint=proxy.endpoint))

    @property
    def spools(self) -> list[Path]:
        return [*self.home.glob(".opsplay/spool/*"), *self.home.glob(".opsplay/restore/*")]

    def take(self, *, transport=None, vault=None, attempt=1, site=None, **changes) -> Snapshot:
        changes = {"segment_bytes": SEGMENT, "progress": lambda *_: None} | changes
        store = changes.pop("store", Store())
        return take(
            store,
            site or self.site,
            transport or self.transport,
            vault or self.vault,
            changes.pop("settings", self.settings),
            run=changes.pop("run", "20261122T053100-3f9a1c"),
            attempt=attempt,
            clock=self.clock,
            **changes,
        )

    def restoring(self, snapshot: Snapshot, **changes) -> Restoring:
        work = Restoring(snapshot, self.site, self.transport, self.vault, self.settings, self.clock)
        return replace(work, **changes)

    def restore(self, snapshot: Snapshot, **changes) -> Restored:
        with_what = {one.name for one in fields(Restoring)} & changes.keys()
        work = self.restoring(snapshot, **{name: changes.pop(name) for name in with_what})
        return bring_back(work, **changes)

    def fingerprint(self, root: Path | None = None, database: str = "") -> tuple[object, ...]:
        return tree(root or self.root), self.mariadb.checksums(database or self.database)

    def destroy(self) -> None:
        shutil.rmtree(self.root)
        name = self.database
        self.mariadb.sql(f"DROP DATABASE {name}; CREATE DATABASE {name};")


def tree(root: Path) -> dict[str, str]:
    """Return what stands below a directory: kind, mode, content of each path."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = os.fsdecode(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = f"{path.stat().st_mode:o} {digest} {int(path.stat().st_mtime)}"
        else:
            found[name] = f"{path.stat().st_mode:o}"
    return found


def make_environment(folder: Path, name: str, mariadb: Database, *, filled: bool) -> Environment:
    root, database = folder / name, f"db_{secrets.token_hex(4)}"
    root.mkdir(parents=True)
    mariadb.sql(
        f"CREATE DATABASE {database} CHARACTER SET utf8mb4;"
        f"CREATE USER '{database}'@'localhost' IDENTIFIED BY '{CANARY}';"
        f"GRANT ALL ON {database}.* TO '{database}'@'localhost';"
    )
    access = f"# database {database}\n[client]\nsocket={mariadb.socket}\nuser={database}\n"
    (root / "config.cnf").write_text(f"{access}password={CANARY}\n")
    (root / "config.cnf").chmod(0o640)
    if filled:
        _fill(root, database, mariadb)
    return Environment(name, Host("local"), str(root), f"https://{name}.shop.test")


def _fill(root: Path, database: str, mariadb: Database) -> None:
    for name in ODD_NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name!r}")
    (root / "photo.jpg").write_bytes(os.urandom(400_000))
    (root / "link").symlink_to("a/b")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "empty").mkdir()
    mariadb.sql(
        "CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, who VARCHAR(99), b BLOB);"
        "INSERT INTO orders (who, b) SELECT CONCAT('Zoë 🛒 ', seq), RANDOM_BYTES(150) "
        "FROM seq_1_to_2000; CREATE TABLE nothing (a INT);",
        database,
    )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch, mariadb: Database, seaweed: Seaweed) -> Bench:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    production = make_environment(tmp_path / "www", "production", mariadb, filled=True)
    database = (Path(production.root) / "config.cnf").read_text().split()[2]
    return Bench(
        site=Site(
            f"shop-{secrets.token_hex(3)}",
            plain_cms.NAME,
            {"production": production},
            vars={"database": database},
        ),
        settings=replace(seaweed.settings(recipients=[str(KEY.to_public())]), identity=IDENTITY),
        mariadb=mariadb,
        home=home,
        clock=FrozenClock(datetime(2026, 11, 22, 5, 31, 7, tzinfo=UTC)),
    )


@pytest.fixture
def userland(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Userland:
    """Return a host whose tools a test chooses."""
    (tmp_path / "userland").mkdir()
    return Userland(tmp_path / "userland", monkeypatch)


WAYS = {
    "direct": ("", "auto"),
    "relayed": ("", "relay"),
    "twins": ("no-age", "auto"),
    "busybox": ("busybox", "auto"),
    "bare": ("bare", "auto"),
}
"""Ways in which bytes travel: the host's tools (all of this machine's, or `userland.MORE`), and the
vault's `transport`. PHP encrypts in place of age among `twins`, the controller where it is `bare`."""


@pytest.fixture
def going(request: pytest.FixtureRequest, bench: Bench, userland: Userland) -> Bench:
    """Return a bench whose bytes travel as the parameter says."""
    host, transport = WAYS[request.param]
    if host:
        userland.become(host)
    bench.settings = replace(bench.settings, transport=transport)
    return bench
