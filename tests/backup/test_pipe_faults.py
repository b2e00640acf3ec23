"""What can happen to the pipe on a host, each case by its name: it is told who failed, or nothing was lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.backup.conftest import tree
from tests.backup.hosting import END, Hosting, Nobody, dump, pack, settings
from tests.backup.userland import Userland

from opsplay.core.errors import StepFailed
from opsplay.core.snapshot import Stream
from opsplay.engine.store_script import Saved

SIZE = 600_000
FAILING = {
    "the dump fails at its start": (dump(1, "exit 3"), "the dump ended with status 3"),
    "the dump fails in the middle": (
        dump(SIZE, "echo no such table >&2; exit 7"),
        "status 7: no such table",
    ),
    "the dump fails after its last line": (
        dump(SIZE, f"echo '{END}'; exit 4"),
        "the dump ended with status 4",
    ),
    "the dump is killed": (
        dump(SIZE, "kill -9 $(sh -c 'echo $PPID')"),
        "the dump ended with status 137",
    ),
    "the dump dies of a broken pipe": (
        dump(SIZE, "kill -PIPE $(sh -c 'echo $PPID')"),
        "dump ended with status 141",
    ),
    "the dump ends well without its last line": (
        dump(SIZE, ":"),
        "does not end with its own last line",
    ),
    "the dump ends well and is empty": (
        Saved("database", ":", has_trailer=True),
        "its own last line",
    ),
    "the dump ends well in the middle of its last line": (
        dump(SIZE, "printf '\\n-- Dump compl'"),
        "cut off",
    ),
}
TOOLS = {
    "zstd": "zstd ended with status",
    "age": "age ended with status",
    "tar": "tar ended with status",
    "openssl": "hash|SHA-256|in the middle",
}
MOMENTS = {"start": 0, "middle": 150_000, "end": 10**9}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the spool out of the home of whoever runs the tests."""
    (tmp_path / "own-home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "own-home"))


@pytest.mark.parametrize("name", FAILING)
def test_a_dump_that_fails_is_no_dump(name: str):
    saved, says = FAILING[name]

    with pytest.raises(StepFailed, match=says) as caught:
        Hosting().save(saved)

    assert caught.value.state == "no backup was sealed by this attempt"


@pytest.mark.proof
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ["kill -9 $$", "exit 9", "kill -PIPE $$"])
@pytest.mark.parametrize("tool", ["zstd", "age", "tar"])
def test_a_stage_that_ends_badly_is_blamed_by_name(
    userland: Userland, tmp_path: Path, tool: str, how: str, moment: str
):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_bytes(os.urandom(SIZE))
    version = f'case $* in *version*) exec {shutil.which(tool)} "$@" ;; esac'
    real = f'{shutil.which(tool)} "$@" | head -c {MOMENTS[moment]}'
    userland.shim(tool, f"{version}\n{real}\n{how}")

    with pytest.raises(StepFailed, match=TOOLS[tool]):
        Hosting().save(dump(SIZE), pack(tmp_path / "root", "file"))


@pytest.mark.parametrize("tool", ["perl", "tee"])
def test_who_hashes_what_passes_is_blamed_as_well(userland: Userland, tool: str):
    if tool == "tee":
        userland.become("gnu")  # which has no perl
    die = "head -c 99999 >/dev/null; kill -9 $$"
    userland.shim(tool, f'case $* in *sysread*|/*) {die} ;; esac\nexec /usr/bin/{tool} "$@"')

    with pytest.raises(StepFailed, match="hashing of what passes ended with status 137"):
        Hosting().save(dump(SIZE))


def test_a_hash_that_cannot_be_made_ends_the_backup(userland: Userland):
    userland.shim(
        "openssl",
        "case $1 in version) exec /usr/bin/openssl version ;; esac\n[ -t 0 ] || head -c 5 >/dev/null\nexit 1",
    )
    userland.shim("sha256sum", "exit 1")

    with pytest.raises(StepFailed, match=r"SHA-256 of a segment|ended early"):
        Hosting().save(dump(SIZE))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    for number in range(20):
        (tmp_path / "root" / f"file-{number}").write_bytes(os.urandom(5000))
    return tmp_path / "root"


def test_a_file_that_vanished_is_named_and_the_rest_is_saved(root: Path):
    hosting = Hosting()
    names = [f"file-{number}" for number in range(20)]
    (root / "file-7").unlink()

    (saved,) = hosting.save(pack(root, *names))

    assert hosting.lost == {"files-00": ("file-7",)}
    assert hosting.members(saved) == set(names) - {"file-7"}


def test_a_file_that_grows_or_shrinks_while_it_is_packed_spoils_no_other(
    root: Path, tmp_path: Path
):
    (root / "growing").write_bytes(bytes(3_000_000))
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            with (root / "growing").open("r+b") as file:
                file.truncate(100_000)
                file.write(os.urandom(64))
                file.truncate(5_000_000)

    thread = threading.Thread(target=change)
    thread.start()
    hosting = Hosting()
    try:
        (saved,) = hosting.save(pack(root, "file-1", "growing", "file-2"))
    finally:
        stop.set()
        thread.join()

    back = hosting.unpacked(saved, tmp_path / "back")
    assert (back / "file-2").read_bytes() == (root / "file-2").read_bytes()
    assert (back / "growing").exists()


@pytest.mark.parametrize("host", ["gnu", "busybox", "busybox-php"])
def test_a_file_that_may_not_be_read_is_named_and_the_rest_is_saved(
    root: Path, tmp_path: Path, userland: Userland, host: str
):
    userland.become(host)
    (root / "file-3").chmod(0)
    hosting = Hosting(transport=Nobody(tmp_path))

    (saved,) = hosting.save(pack(root, "file-1", "file-3", "file-4"))

    assert hosting.lost == {"files-00": ("file-3",)}
    assert hosting.members(saved) == {"file-1", "file-4"}


@pytest.mark.parametrize("host", ["gnu", "busybox", "busybox-php"])
def test_a_sparse_file_comes_back(userland: Userland, tmp_path: Path, host: str):
    userland.become(host)
    (tmp_path / "root").mkdir()
    with (tmp_path / "root" / "sparse").open("wb") as file:
        file.truncate(3_000_000)
        file.seek(2_000_000)
        file.write(b"in the middle")
    hosting = Hosting()

    (saved,) = hosting.save(pack(tmp_path / "root", "sparse"))

    assert tree(hosting.unpacked(saved, tmp_path / "back")) == tree(tmp_path / "root")
    if host == "gnu":
        assert saved.raw_bytes < 200_000


def test_a_sparse_file_of_9_gib_is_saved_in_a_moment(tmp_path: Path):
    (tmp_path / "root").mkdir()
    with (tmp_path / "root" / "huge").open("wb") as file:
        file.truncate(9 << 30)
        file.seek(8 << 30)
        file.write(b"far out")
    hosting = Hosting()
    began = time.monotonic()

    (saved,) = hosting.save(pack(tmp_path / "root", "huge"))

    assert time.monotonic() - began < 20
    back = hosting.unpacked(saved, tmp_path / "back") / "huge"
    assert back.stat().st_size == 9 << 30
    with back.open("rb") as file:
        file.seek(8 << 30)
        assert file.read(7) == b"far out"


def test_hard_links_come_out_of_their_pack_alone(tmp_path: Path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "one").write_text("shared")
    os.link(tmp_path / "root" / "one", tmp_path / "root" / "two")
    hosting = Hosting()

    (saved,) = hosting.save(pack(tmp_path / "root", "one", "two"))

    words = ["/usr/bin/tar", "-xf", "-", "-O", "./two"]
    alone = subprocess.run(words, input=hosting.plain(saved), capture_output=True, check=True)
    assert alone.stdout == b"shared"


def test_a_directory_is_packed_without_what_is_in_it(root: Path):
    (root / "folder").mkdir()
    (root / "folder" / "inside").write_text("x")
    hosting = Hosting()

    (saved,) = hosting.save(pack(root, "folder"))

    assert hosting.members(saved) == {"folder"}


def test_names_that_tar_might_take_for_words_are_names(root: Path):
    odd = ["-rf", "--help", "@file-1", "C", "-C", "./x", "*", "[a]", "\\n", "\\", "a\\tb"]
    for name in odd:
        (root / name).write_text(name)
    hosting = Hosting()

    (saved,) = hosting.save(pack(root, *odd))

    assert {name.removeprefix("./") for name in hosting.members(saved)} == {*odd[:5], "x", *odd[6:]}
    assert not hosting.lost


@pytest.mark.parametrize("host", ["busybox"])
def test_too_many_names_for_a_poor_tar_are_refused_rather_than_forgotten(
    userland: Userland, tmp_path: Path, host: str
):
    userland.become(host)
    (tmp_path / "root").mkdir()
    names = [f"{'x' * 150}-{number}" for number in range(1200)]
    for name in names:
        (tmp_path / "root" / name).touch()

    with pytest.raises(StepFailed, match="too many for its arguments; PHP would do"):
        Hosting().save(pack(tmp_path / "root", *names))


class Watch:
    """Looks at a spool again and again, and keeps the most that it saw."""

    def __init__(self, spool: Path) -> None:
        self.spool, self.most, self.segments = spool, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_what: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            found = [path for path in self.spool.glob("*/*") if path.is_file()]
            sizes = [path.stat().st_size for path in found if path.exists()]
            self.most = max(self.most, sum(sizes))
            self.segments = max(
                self.segments, sum(path.name.startswith("segment") for path in found)
            )


def test_the_spool_holds_two_segments_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    segment = 1 << 20
    made: list[float] = []
    hosting = Hosting(
        segment_bytes=segment, stored=lambda *_what: made.append(time.sleep(0.02) or 0)
    )

    with Watch(tmp_path / ".opsplay" / "spool") as watch:
        (saved,) = hosting.save(dump(20 << 20))

    assert len(saved.segments) == 21
    assert watch.segments == 2
    assert segment < watch.most <= 2 * segment + 65536
    assert list((tmp_path / ".opsplay" / "spool").iterdir()) == []


def test_the_next_segment_is_made_while_one_travels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    full: list[int] = []

    def slowly(_stream: str, _size: int) -> None:
        time.sleep(0.15)
        found = sorted((tmp_path / ".opsplay" / "spool").glob("*/segment.*"))
        full.append(sum(path.stat().st_size == 1 << 20 for path in found))

    Hosting(segment_bytes=1 << 20, stored=slowly).save(dump(6 << 20))

    assert full[:4] == [2, 2, 2, 2]


def test_a_limit_of_bytes_a_second_is_kept():
    limited = Hosting(settings=settings(limit_rate=200_000))
    began = time.monotonic()

    (saved,) = limited.save(dump(500_000))

    assert time.monotonic() - began > 500_000 / 200_000 - 1
    assert hashlib.sha256(limited.plain(saved)).hexdigest() == saved.raw_sha256


def test_a_stream_in_the_middle_of_many_keeps_its_own_sums(root: Path):
    hosting = Hosting()
    packs = [
        pack(root, f"file-{number}", number=number, compressed=bool(number % 2))
        for number in range(8)
    ]

    streams: tuple[Stream, ...] = hosting.save(
        dump(),
        *packs,
    )

    assert [one.name for one in streams] == [
        "database",
        *(f"files-{number:02d}" for number in range(8)),
    ]
    for one in streams:
        assert hashlib.sha256(hosting.plain(one)).hexdigest() == one.raw_sha256
        assert len(hosting.plain(one)) == one.raw_bytes


def test_a_stream_that_ends_exactly_with_a_segment_is_whole(userland: Userland):
    userland.become("bare")  # plain over the line: we know how long it is
    hosting = Hosting()
    exact = Saved(
        "database",
        f"head -c {(2 << 17) - len(END) - 2} /dev/zero | tr '\\0' x; echo; echo '{END}'",
        True,
        compressed=False,
    )

    (saved,) = hosting.save(exact)

    assert saved.raw_bytes == 2 << 17
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256


def test_how_many_cases_there_are():
    assert len(FAILING) + 3 * 3 * len(MOMENTS) == 35
