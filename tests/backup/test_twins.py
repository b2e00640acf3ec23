"""Hosts as they are: with GNU's tools, busybox's, PHP's, or nearly none, a backup is the same."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
from tests.backup.conftest import tree
from tests.backup.hosting import KEYS, Hosting, dump, pack, settings
from tests.backup.userland import Userland
from tests.vaults.seaweed import Seaweed

from opsplay.core.errors import StepFailed
from opsplay.engine.host import program
from opsplay.vaults import open_vault

ODD = (
    "line\nbreak.txt", "-rf", "éà 日本.txt", "with space ", "qu'ote\"$x.txt", "a/b/.hidden", "back\\slash",
    "back\\nslash", "tab\tand\rreturn", "*.php", "\udcff\udcfe", f"{'deep/' * 30}{'long' * 40}.txt",
)  # fmt: skip

WAYS = {
    "gnu": ("relay", "age", "zstd"),
    "busybox": ("relay", "age", "gzip"),
    "busybox-php": ("relay", "php", "gzip"),
    "no-age": ("relay", "php", "zstd"),
    "bare": ("relay", "controller", "gzip"),
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the spool out of the home of whoever runs the tests."""
    (tmp_path / "own-home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "own-home"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "it's a root"
    for name in ODD:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name!r}")
    (root / "photo.jpg").write_bytes(os.urandom(400_000))
    (root / "empty.txt").touch()
    (root / "empty").mkdir(mode=0o750)
    (root / "link").symlink_to("nowhere\n'odd\\ target ")
    (root / "far").symlink_to("x/" * 99)
    (root / "loop").symlink_to(".")
    (root / "run.sh").write_text("x")
    (root / "run.sh").chmod(0o4755)
    os.utime(root / "run.sh", (10**9, 10**9))
    return root


def names(root: Path) -> list[str]:
    return sorted(os.fsdecode(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("host", WAYS)
def test_every_make_of_host_saves_the_same(
    userland: Userland, root: Path, tmp_path: Path, host: str
):
    userland.become(host)
    hosting = Hosting()
    everything = names(root)
    pictures = [name for name in everything if name.endswith(".jpg")]
    rest = [name for name in everything if name not in pictures]

    saved, files, jpg = hosting.save(
        dump(), pack(root, *rest), pack(root, *pictures, number=1, compressed=False)
    )

    plain = hosting.plain(saved)
    assert (len(plain), hashlib.sha256(plain).hexdigest()) == (saved.raw_bytes, saved.raw_sha256)
    assert saved.trailer_ok is True
    target = hosting.unpacked(files, tmp_path / "back")
    words = ["/usr/bin/tar", "-xpf", "-", "-C", str(target)]
    subprocess.run(words, input=hosting.plain(jpg), check=True)
    assert tree(target) == tree(root)
    assert not hosting.lost
    assert jpg.compression == "none"
    told = (hosting.tools["upload"], hosting.tools["encryption"], files.compression)
    assert told == WAYS[host]


@pytest.mark.parametrize("host", WAYS)
def test_nothing_is_left_in_the_spool(userland: Userland, tmp_path: Path, monkeypatch, host: str):
    monkeypatch.setenv("HOME", str(tmp_path))
    userland.become(host)

    Hosting().save(dump())

    assert list((tmp_path / ".opsplay" / "spool").iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 1_000_003])
@pytest.mark.parametrize("opened_by", ["age", "pyrage"])
def test_what_php_encrypts_is_an_age_file_for_each_recipient(
    tmp_path: Path, size: int, opened_by: str
):
    plain = os.urandom(size)
    (tmp_path / "age.php").write_text(program("age.php"))
    words = ["php", str(tmp_path / "age.php"), *(str(key.to_public()) for key in KEYS)]

    made = subprocess.run(words, input=plain, capture_output=True, check=False)

    assert (made.returncode, made.stderr) == (0, b"")
    for number, key in enumerate(KEYS):
        if opened_by == "pyrage":
            assert pyrage.decrypt(made.stdout, [key]) == plain
        else:
            (tmp_path / f"key{number}").write_text(f"{key}\n")
            back = ["age", "-d", "-i", str(tmp_path / f"key{number}")]
            done = subprocess.run(back, input=made.stdout, capture_output=True, check=True)
            assert done.stdout == plain


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "age1",
        "nonsense",
        str(KEYS[0].to_public())[:-1],
        str(KEYS[0].to_public()).replace("age1", "agf1"),
        str(KEYS[0].to_public())[:-1] + ("q" if str(KEYS[0].to_public())[-1] != "q" else "p"),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA",
    ],
    ids=[
        "none",
        "the first letters",
        "nonsense",
        "cut off",
        "another start",
        "a wrong end",
        "of SSH",
    ],
)
def test_php_encrypts_for_nobody_whose_name_is_misspelt(tmp_path: Path, recipient: str):
    (tmp_path / "age.php").write_text(program("age.php"))
    words = ["php", str(tmp_path / "age.php"), str(KEYS[1].to_public()), recipient]

    made = subprocess.run(words, input=b"secret", capture_output=True, check=False)

    assert made.returncode != 0
    assert made.stdout == b""


def test_php_packs_what_gnu_tar_and_python_unpack(root: Path, tmp_path: Path):
    listed = b"".join(b"./" + os.fsencode(name) + b"\0" for name in [*names(root), "gone"])
    (tmp_path / "tar.php").write_text(program("tar.php"))
    words = ["php", str(tmp_path / "tar.php"), str(root), str(tmp_path / "packed")]

    made = subprocess.run(words, input=listed, capture_output=True, check=True)

    (tmp_path / "back").mkdir()
    back = ["tar", "-xpf", "-", "-C", str(tmp_path / "back")]
    assert subprocess.run(back, input=made.stdout, capture_output=True, check=True).stderr == b""
    assert tree(tmp_path / "back") == tree(root)
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        assert len(archive.getnames()) == len(names(root))
    assert len(made.stdout) % 10240 == 0


def test_a_file_beyond_8_gib_is_packed_by_php_as_well(tmp_path: Path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate((8 << 30) + 5)
    (tmp_path / "tar.php").write_text(program("tar.php"))
    words = ["php", str(tmp_path / "tar.php"), str(tmp_path), "/dev/null"]

    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as made:
        assert made.stdin
        assert made.stdout
        made.stdin.write(b"./huge\0")
        made.stdin.close()
        head = tarfile.TarInfo.frombuf(made.stdout.read(512), "utf-8", "strict")
        made.kill()

    assert (head.name, head.size) == ("./huge", (8 << 30) + 5)


@pytest.fixture(scope="module")
def bucket(seaweed: Seaweed):
    return seaweed.settings(recipients=settings().recipients)


@pytest.mark.real
@pytest.mark.parametrize("by", ["curl", "php", "php-sockets"])
def test_segments_go_straight_to_the_storage_by_curl_or_php(
    bucket, tmp_path: Path, monkeypatch, by: str
):
    userland = Userland(tmp_path / "bin", monkeypatch)
    (tmp_path / "bin").mkdir()
    userland.become("gnu" if by == "curl" else "no-age")
    if by != "curl":
        (tmp_path / "bin" / "curl").unlink()
    if by == "php-sockets":
        userland.shim("php", 'exec /usr/bin/php -n "$@"')
    hosting = Hosting(vault=open_vault(bucket), settings=bucket)

    (saved,) = hosting.save(dump())

    assert hosting.tools["upload"] == by.removesuffix("-sockets")
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256
    assert len(saved.segments) == 3
    assert [one.key for one in hosting.vault.keys("v1/shop/preflight/")] == []


@pytest.mark.real
def test_a_host_without_a_way_out_is_relayed_and_the_manifest_says_why(bucket):
    barred = Hosting(vault=_Elsewhere(open_vault(bucket)), settings=bucket)

    (saved,) = barred.save(dump())

    assert barred.tools["upload"] == "relay"
    assert "does not reach the storage by itself: curl: (7)" in barred.tools["upload why"]
    assert hashlib.sha256(barred.plain(saved)).hexdigest() == saved.raw_sha256


@pytest.mark.real
def test_the_inventory_decides_when_it_wants_to(bucket):
    relayed = Hosting(vault=open_vault(bucket), settings=replace(bucket, transport="relay"))
    direct = Hosting(vault=open_vault(bucket), settings=replace(bucket, transport="direct"))

    relayed.save(dump())
    direct.save(dump())

    assert (relayed.tools["upload"], direct.tools["upload"]) == ("relay", "curl")


@pytest.mark.parametrize("host", ["bare", "gnu"])
def test_direct_means_direct(userland: Userland, host: str):
    userland.become(host)
    wanted = settings(transport="direct")

    with pytest.raises(StepFailed, match=r"inventory wants bytes to go straight|transport: direct"):
        Hosting(settings=wanted).save(dump())


class _Elsewhere:
    """A vault whose signed URLs lead to a port where nobody listens."""

    def __init__(self, vault) -> None:
        self.vault = vault

    def __getattr__(self, name: str):
        return getattr(self.vault, name)

    def sign_put(self, *words, **named):
        signed = self.vault.sign_put(*words, **named)
        return replace(signed, url=signed.url.replace(signed.url.split("/")[2], "127.0.0.1:9"))


def test_the_php_programs_speak_the_php_of_old_hosts():
    for name in ("age.php", "hash.php", "survey.php", "tar.php", "upload.php"):
        text = program(name)
        assert "match (" not in text
        assert "readonly" not in text
        assert "str_contains" not in text
