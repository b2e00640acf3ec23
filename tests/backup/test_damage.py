"""A damaged object is named by verification, and a restore that needs it leaves the site as it is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

import pytest
from tests.backup.conftest import Bench
from tests.backup.damage import (
    DAMAGES,
    TRUSTED,
    BlindVault,
    delete,
    flip,
    truncate,
    two_backups,
    undone,
)  # fmt: skip
from tests.backup.test_verify import verification
from tests.transports.sshd import running

from opsplay.core.errors import OpsplayError
from opsplay.core.snapshot import Snapshot
from opsplay.core.transport import Transport
from opsplay.engine.signature import SUFFIX
from opsplay.engine.snapshots import load
from opsplay.transports.ssh import SshTransport

pytestmark = pytest.mark.real
ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "10"))

When: TypeAlias = Literal["before", "hidden", "between"]
"""Before the restore; the same, and the storage's HEAD lies about it; or after the restore has
looked at every object and before it fetches the first."""
WHEN: tuple[When, ...] = ("before", "hidden", "between")


@dataclass
class Shop:
    """A site that has changed since its last two backups."""

    bench: Bench
    first: Snapshot
    snapshot: Snapshot
    saved: tuple[object, ...]
    """The site as the snapshot holds it."""
    line: Transport | None = None
    """In place of the bench's own."""
    count: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, bench: Bench) -> Shop:
        first, snapshot = two_backups(bench)
        shop = cls(bench, first, snapshot, bench.fingerprint())
        shop.sell()
        return shop

    def sell(self) -> None:
        (self.bench.root / "run.sh").write_text("newer")
        (self.bench.root / "order.pdf").write_text("came in after the backup")
        self.bench.mariadb.sql("INSERT INTO orders (who) VALUES ('late')", self.bench.database)

    def state(self) -> object:
        """Return all that a restore which refuses leaves alone: files, database, the door's diary."""
        diary = Path(f"{self.bench.root}.diary")
        return self.bench.fingerprint(), diary.exists() and diary.read_text()

    def needed(self, when: When) -> set[str]:
        """Return what the restore still has to read when the damage happens."""
        streams = {one.key for stream in self.snapshot.streams for one in stream.segments}
        seal = {self.snapshot.key, self.snapshot.key + SUFFIX, self.snapshot.index.segment.key}
        return streams if when == "between" else streams | seal

    def restore(self, when: When, act: Callable[[], object], chance: Random) -> OpsplayError | None:
        """Restore the snapshot; return why it was refused, None: it was not."""
        vault, begun = self.bench.vault, Counter()
        if when == "hidden":
            vault = BlindVault(vault, self.snapshot, signs=chance.random() < 0.5)

        def told(*_what: object) -> None:
            begun["words"] += 1
            if when == "between" and begun["words"] == 1:
                act()

        try:
            self.bench.restore(
                load(self.bench.vault, self.snapshot.key), vault=vault, trusted=TRUSTED,
                progress=told, transport=self.line or self.bench.transport,
            )  # fmt: skip
        except OpsplayError as error:
            return error
        return None


def named(bench: Bench) -> set[str]:
    """Return the keys that a verification at level 1 blames."""
    found = verification(bench).at(1)
    return {one.key for one in (*found.damage, *(d for v in found.verdicts for d in v.damage))}


def sealed(key: str) -> set[str]:
    """Return the object; a manifest and its signature are one."""
    manifest = key.removesuffix(SUFFIX)
    return {manifest, manifest + SUFFIX} if manifest.endswith(".json") else {key}


def hold(shop: Shop, damage, key: str, when: When, chance: Random, told: str) -> None:
    """Damage the object, and hold what a damaged backup promises."""
    hurt: set[str] = set()

    def act() -> None:
        other = damage(shop.bench, key, chance)
        hurt.update(sealed(key), sealed(other) if other else ())

    before = shop.state()
    with undone(shop.bench):
        if when != "between":
            act()
            assert named(shop.bench) & hurt, told
        refusal = shop.restore(when, act, chance)
        if refusal:
            assert any(one in str(refusal) for one in hurt), f"{told}: {refusal}"
            assert shop.state() == before, told
            shop.count["refused"] += 1
        else:
            assert not shop.needed(when) & hurt, f"{told}: it was restored"
            assert shop.bench.fingerprint() == shop.saved, told
            shop.count["not needed, restored whole"] += 1
            shop.sell()
        assert named(shop.bench) & hurt, told
        assert shop.bench.spools == [], told
        assert not (shop.bench.root / "closed").exists(), told


@contextmanager
def over_ssh(folder: Path) -> Iterator[SshTransport]:
    """Give a line to this machine through a real sshd, where its home is another."""
    folder.mkdir()
    with running(folder) as sshd:
        line = SshTransport(sshd.host())
        try:
            yield line
        finally:
            line.close()


@pytest.mark.proof
@pytest.mark.soak
@pytest.mark.timeout(120 + 30 * ROUNDS)
def test_after_random_damage_verify_names_the_object_and_restore_refuses(bench: Bench, tmp_path):
    """OPSPLAY_SOAK_ROUNDS sets how often; each tenth round goes over SSH."""
    shop = Shop.of(bench)
    seed = int.from_bytes(os.urandom(4))
    chance = Random(seed)
    stored = sorted(one.key for one in bench.vault.keys(f"v1/{bench.site.name}/"))
    # The manual is no part of a backup: each one writes it anew where it differs.
    keys = [key for key in stored if not key.endswith("/README.txt")]
    keys += sorted(shop.needed("between")) * 3 + sorted(shop.needed("before"))
    with over_ssh(tmp_path / "sshd") as line:
        for number in range(ROUNDS):
            damage, key, when = chance.choice(DAMAGES), chance.choice(keys), chance.choice(WHEN)
            shop.line = line if number % 10 == 9 else None
            told = f"seed {seed}, round {number}: {damage.__name__} {key}, {when}"
            hold(shop, damage, key, when, chance, told)
            shop.count[when] += 1
            shop.count[damage.__name__] += 1
    print(f"{ROUNDS} rounds: {dict(sorted(shop.count.items()))}")
    shop.line = None
    assert verification(bench).at(1).good, "all was put back"
    assert not [*tmp_path.glob("sshd/home/.opsplay/restore/*")]
    assert not shop.restore("before", lambda: None, chance)
    assert bench.fingerprint() == shop.saved


@pytest.mark.proof
def test_no_kind_of_damage_to_a_seal_goes_unseen(bench: Bench):
    shop = Shop.of(bench)

    for key in (shop.snapshot.key, shop.snapshot.key + SUFFIX):
        for damage in DAMAGES:
            hold(shop, damage, key, "before", Random(7), f"{damage.__name__} {key}")


def test_some_damage_is_found_and_refused(bench: Bench):
    """One of each place and moment; the proofs go through all kinds at random."""
    shop = Shop.of(bench)
    pack = shop.snapshot.segments[-2].key
    other = shop.first.streams[0].segments[0].key

    hold(shop, flip, pack, "between", Random(7), "flip a pack while it is restored")
    hold(shop, truncate, pack, "hidden", Random(7), "truncate a pack, hidden")
    hold(shop, delete, shop.snapshot.key, "before", Random(7), "delete the manifest")
    hold(shop, flip, other, "before", Random(7), "flip what is not needed")
    assert shop.count == {"refused": 3, "not needed, restored whole": 1}
