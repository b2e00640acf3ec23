"""Whatever happens to a real site between its backups, each of them is the site as it was then."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from tests.backup.conftest import Bench
from tests.backup.test_incremental import take
from tests.backup.vault_reading import in_memory, on_disk, rebuilt

pytestmark = [pytest.mark.real, pytest.mark.proof]

ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "8"))
NAMES = ["index.php", "a b", "-rf", "é", "new\nline", "tab\t", "back\\n", "*", "x.jpg", "x.zip"]


@pytest.fixture
def bench(bench: Bench) -> Bench:
    return in_memory(bench)


class Site:
    """Does to a directory what people, programs and hosting companies do."""

    def __init__(self, root: Path, luck: random.Random) -> None:
        self.root, self.luck = root, luck

    def anything(self) -> None:
        acts = [self.write] * 6 + [self.remove, self.mode, self.rename, self.touch, self.move]
        self.luck.choice([*acts, self.link, self.link, self.folder, self.folder])()

    def folders(self) -> list[Path]:
        found = (one for one in self.root.rglob("*") if one.is_dir() and not one.is_symlink())
        return [self.root, *found]

    def some(self) -> Path | None:
        found = [one for one in self.root.rglob("*") if one.name != "config.cnf"]
        return self.luck.choice(sorted(found)) if found else None

    def place(self) -> Path:
        return self.luck.choice(sorted(self.folders())) / self.luck.choice(NAMES)

    def clear(self, path: Path) -> Path:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        return path

    def write(self) -> None:
        size = self.luck.choice([0, 1, 100, 5000, 70_000])
        self.clear(self.place()).write_bytes(self.luck.randbytes(size))

    def link(self) -> None:
        self.clear(self.place()).symlink_to(self.luck.choice(NAMES))

    def folder(self) -> None:
        self.clear(self.place()).mkdir()

    def remove(self) -> None:
        if path := self.some():
            self.clear(path)

    def mode(self) -> None:
        path = self.some()
        if path and not path.is_symlink():
            path.chmod(self.luck.choice([0o700, 0o755] if path.is_dir() else [0o600, 0o644, 0o755]))

    def touch(self) -> None:
        if path := self.some():
            os.utime(path, (self.luck.randrange(2**31),) * 2, follow_symlinks=False)

    def rename(self) -> None:
        path, target = self.some(), self.place()
        inside = path and (path == target or path in target.parents or target in path.parents)
        if path and not inside:
            path.rename(self.clear(target))

    def move(self) -> None:
        elsewhere = self.root.with_name("elsewhere")
        shutil.copytree(self.root, elsewhere, symlinks=True)
        shutil.rmtree(self.root)
        elsewhere.rename(self.root)


@pytest.mark.parametrize("seed", [1, 2])
def test_each_backup_is_the_site_as_it_was(bench: Bench, seed: int):
    luck = random.Random(seed)
    site = Site(bench.root, luck)
    taken = []
    for _ in range(ROUNDS):
        for _ in range(luck.randrange(12)):
            site.anything()
        pack_bytes = luck.choice([20_000, 200_000])
        taken.append((take(bench, pack_bytes=pack_bytes), on_disk(bench.root)))

    for snapshot, tree in taken:
        assert rebuilt(bench, snapshot) == tree, snapshot.snap
