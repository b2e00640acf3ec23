"""A stranger with the README.txt, the age key and common tools restores a site without opsplay."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.backup.conftest import CANARY, KEY, Bench, tree
from tests.backup.shell_check import complaints

from opsplay.core.vault import VaultSettings
from opsplay.engine.signature import Signer, new_private_key
from opsplay.engine.snapshots import text
from opsplay.engine.store_readme import readme, script

pytestmark = pytest.mark.real

TOOLS = "sh age zstd tar gzip mysql sha256sum awk sed grep sort xargs cat find tail mkdir"


class Stranger:
    """A directory with what was fetched, a key, and a path with nothing but common tools."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "bin").mkdir()
        for tool in TOOLS.split():
            (folder / "bin" / tool).symlink_to(Path("/usr/bin") / tool)
        (folder / "key.txt").write_text(f"# the agency's key\n{KEY}\n")
        for one in bench.vault.keys("v1/"):
            target = folder / one.key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text(bench.vault, one.key))
        manual = (folder / "v1" / bench.site.name / "README.txt").read_text()
        (folder / "restore.sh").write_text(script(manual))

    def access(self, bench: Bench) -> str:
        """Make an empty database and the access file that the README describes."""
        user = f"stranger_{bench.database}"
        bench.mariadb.sql(
            f"CREATE DATABASE {user}; CREATE USER '{user}'@'localhost' IDENTIFIED BY '{CANARY}';"
            f"GRANT ALL ON {user}.* TO '{user}'@'localhost'"
        )
        lines = f"[client]\nsocket={bench.mariadb.socket}\nuser={user}\npassword={CANARY}\n"
        (self.folder / "access.cnf").write_text(lines)
        return user

    def restore(self, **settings: str) -> subprocess.CompletedProcess[str]:
        path = os.fspath(self.folder / "bin")
        words = ["sh", "restore.sh"]
        environment = {"PATH": path, "HOME": os.fspath(self.folder)} | settings
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


def test_a_stranger_restores_files_and_database(bench: Bench, tmp_path: Path):
    before = bench.fingerprint()
    bench.take()
    stranger = Stranger(bench, tmp_path / "stranger")
    database = stranger.access(bench)

    done = stranger.restore(DATABASE=database)

    assert done.returncode == 0, done.stderr
    assert (tree(stranger.folder / "restored"), bench.mariadb.checksums(database)) == before


def test_a_stranger_may_choose_an_older_backup_and_a_plain_dump(bench: Bench, tmp_path: Path):
    first = bench.take()
    before = tree(bench.root)
    (bench.root / "later.txt").write_text("x")
    bench.clock.sleep(60)
    bench.take()
    stranger = Stranger(bench, tmp_path / "stranger")

    done = stranger.restore(SNAP=first.key, TARGET="old")

    assert done.returncode == 0, done.stderr
    assert tree(stranger.folder / "old") == before
    assert "-- Dump completed" in (stranger.folder / "old.sql").read_text()


@pytest.mark.parametrize("how", ["flipped", "deleted"])
def test_a_stranger_is_warned_of_damage_before_anything_is_restored(bench, tmp_path, how: str):
    snapshot = bench.take()
    stranger = Stranger(bench, tmp_path / "stranger")
    piece = stranger.folder / snapshot.segments[1].key
    if how == "deleted":
        piece.unlink()
    else:
        body = bytearray(piece.read_bytes())
        body[100] ^= 1
        piece.write_bytes(body)

    done = stranger.restore()

    assert done.returncode != 0
    assert snapshot.segments[1].key in done.stdout + done.stderr
    assert not (stranger.folder / "restored").exists()


@pytest.mark.parametrize("what", ["database", "index"])
def test_a_stranger_is_warned_when_the_contents_are_not_those_saved(bench, tmp_path, what: str):
    snapshot = bench.take()
    stranger = Stranger(bench, tmp_path / "stranger")
    manifest = stranger.folder / snapshot.key
    promised = {"database": snapshot.streams[0].raw_sha256, "index": snapshot.index.raw_sha256}
    manifest.write_text(manifest.read_text().replace(promised[what], "ab" * 32))

    done = stranger.restore()

    assert done.returncode != 0
    assert f"the {what} is not what was saved" in done.stdout


def test_a_stranger_brings_one_directory_back(bench: Bench, tmp_path: Path):
    before = tree(bench.root)
    bench.take()
    stranger = Stranger(bench, tmp_path / "stranger")

    done = stranger.restore(ONLY="a")

    assert done.returncode == 0, done.stderr
    found = tree(stranger.folder / "restored")
    assert found == {name: before[name] for name in ("a", "a/b", "a/b/.hidden")}
    assert not (stranger.folder / "restored.sql").exists()
    assert stranger.restore(ONLY="nothing").returncode != 0


def test_a_stranger_sees_who_made_it(bench: Bench, tmp_path: Path):
    signer = Signer.of(new_private_key())
    snapshot = bench.take(signer=signer)
    stranger = Stranger(bench, tmp_path / "stranger")
    manifest = stranger.folder / snapshot.key
    (stranger.folder / "signers").write_text(f"opsplay {signer.public}\n")

    words = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "opsplay", "-n", "opsplay", "-s"]
    words += [f"{manifest}.sig"]

    def verified() -> bool:
        text = manifest.read_bytes()
        done = subprocess.run(words, cwd=stranger.folder, input=text, check=False)
        return done.returncode == 0

    assert " ".join(words[:-1]) in readme("shop", VaultSettings("v", "s3", bucket="b"))
    assert verified()
    manifest.write_text(manifest.read_text().replace('"full"', '"incr"'))
    assert not verified()


def test_the_script_is_plain_sh():
    text = script(readme("shop", VaultSettings("v", "s3", bucket="b")))

    assert text.startswith("set -eu\n")
    assert complaints(text) == ""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (VaultSettings("v", "s3", endpoint="https://s3.eu", bucket="b"), "s3://b/v1/shop/"),
        (VaultSettings("v", "s3", region="eu-west-3", bucket="b"), "s3.eu-west-3.amazonaws.com"),
        (VaultSettings("v", "folder", folder="/mnt/disk"), "cp -R /mnt/disk/v1/shop/."),
    ],
)
def test_the_manual_says_where_to_fetch_from(settings: VaultSettings, says: str):
    assert says in readme("shop", settings)
