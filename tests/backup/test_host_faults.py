"""What a host can be or become during a backup, each case by its name."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.backup.hosting import Hosting, Nobody, dump, pack
from tests.backup.test_backup_faults import CutTransport
from tests.backup.userland import Userland

from opsplay.core.environment import Host
from opsplay.core.errors import LineCut, StepFailed, UnreadableAnswer
from opsplay.kit.shell import quote
from opsplay.transports.local import LocalChannel, LocalTransport

SIZE = 600_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def spool(home: Path) -> list[Path]:
    return list((home / ".opsplay" / "spool").glob("*"))


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Make a directory a small file system of its own; needs root."""
    done = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_the_backup_and_says_so(home: Path):
    with mounted(home, "size=300k"):
        with pytest.raises(
            StepFailed, match=r"spool .* cannot be written: .*No space left on device"
        ):
            Hosting(segment_bytes=1 << 19).save(dump(SIZE))

        assert spool(home) == []


def test_a_disk_that_holds_two_segments_is_enough_for_any_site(home: Path):
    with mounted(home, "size=400k"):
        (saved,) = Hosting(segment_bytes=1 << 17).save(dump(3_000_000))

        assert len(saved.segments) == 23


def test_a_disk_that_fills_up_in_the_middle_ends_the_backup(home: Path):
    with mounted(home, "size=600k"):

        def fill(_stream: str, _size: int) -> None:
            with (home / "filler").open("ab") as file:
                try:
                    file.write(bytes(150_000))
                    file.flush()
                except OSError:
                    return

        with pytest.raises((StepFailed, UnreadableAnswer)) as caught:
            Hosting(stored=fill).save(dump(3_000_000))

    assert caught.value.state == "no backup was sealed by this attempt"


@pytest.mark.usefixtures("home")
def test_a_quota_ends_the_backup_and_says_so():
    class Limited(LocalTransport):
        def open(self, script: str) -> LocalChannel:
            return super().open(f"trap '' XFSZ; ulimit -f 200; exec sh -c {quote(script)}")

    hosting = Hosting(transport=Limited(Host("local")), segment_bytes=1 << 18)

    with pytest.raises(StepFailed, match=r"spool .* cannot be written: .*File too large"):
        hosting.save(dump(SIZE))


def test_a_home_that_may_not_be_written_is_told_of(tmp_path: Path):
    transport = Nobody(tmp_path)
    transport.home.chmod(0o555)
    os.chown(transport.home, 0, 0)

    with pytest.raises(StepFailed, match=r"the spool .* cannot be made: .*Permission denied"):
        Hosting(transport=transport).save(dump())


def test_a_home_on_a_disk_that_is_read_only_is_told_of(home: Path):
    with (
        mounted(home, "size=1m,ro"),
        pytest.raises(StepFailed, match=r"cannot be made: .*Read-only file system"),
    ):
        Hosting().save(dump())


@pytest.mark.parametrize("host", ["gnu", "no-age"])
def test_a_home_where_nothing_may_be_executed_is_good_enough(
    home: Path, userland: Userland, host: str
):
    userland.become(host)
    with mounted(home, "size=2m,noexec"):
        hosting = Hosting()

        (saved,) = hosting.save(dump())

    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_a_day_off_changes_nothing(userland: Userland, days: int):
    userland.become("gnu")
    userland.shim("date", f'exec /bin/date -d "{days} day" "$@"')
    hosting = Hosting()

    (saved,) = hosting.save(dump())

    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("shell", ["dash", "busybox", "bash"])
def test_every_shell_will_do(tmp_path: Path, shell: str):
    class Shell(LocalTransport):
        def open(self, script: str) -> LocalChannel:
            called = "busybox sh" if shell == "busybox" else shell
            return super().open(f"exec {called} -c {quote(script)}")

    (tmp_path / "file").write_text("x")
    hosting = Hosting(transport=Shell(Host("local")))

    saved, files = hosting.save(dump(SIZE), pack(tmp_path, "file", "gone"))

    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256
    assert hosting.members(files) == {"file"}
    assert hosting.lost == {"files-00": ("gone",)}


LACKING = {
    "dd": "dd on this host has no iflag=fullblock|dd is not installed",
    "mkfifo": "mkfifo is not installed on this host",
    "gzip": "gzip is not installed on this host",
}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("tool", LACKING)
def test_a_tool_that_nothing_replaces_is_named(userland: Userland, tool: str):
    userland.become("gnu")
    (userland.folder / tool).unlink()

    with pytest.raises(StepFailed, match=LACKING[tool]):
        Hosting().save(dump())


@pytest.mark.usefixtures("home")
def test_a_dd_that_cannot_cut_exactly_is_not_used(userland: Userland):
    userland.become("gnu")
    userland.shim("dd", 'case $* in *fullblock*) exit 1 ;; esac\nexec /bin/dd "$@"')

    with pytest.raises(StepFailed, match="it cannot cut exactly"):
        Hosting().save(dump())


def children(pid: int) -> list[int]:
    words = ["/usr/bin/pgrep", "-P", str(pid)]
    return [
        int(one) for one in subprocess.run(words, capture_output=True, check=False).stdout.split()
    ]


def below(pid: int) -> list[int]:
    found = children(pid)
    return [*found, *(one for child in found for one in below(child))]


@pytest.mark.proof
@pytest.mark.parametrize("whom", ["the shell", "the whole host (reboot, out of memory)"])
@pytest.mark.parametrize("when", [1, 3])
def test_a_host_that_dies_in_the_middle_leaves_little_and_the_next_attempt_cleans_it(
    home: Path, whom: str, when: int
):
    hosting = Hosting()
    seen: list[int] = []

    def die(_stream: str, _size: int) -> None:
        seen.append(1)
        if len(seen) == when:
            shell = hosting.dialogue.channel._process.pid
            for pid in [shell] if whom == "the shell" else [shell, *below(shell)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    hosting.stored = die
    with pytest.raises((StepFailed, UnreadableAnswer, LineCut)):
        hosting.save(dump(3_000_000))
    left = sum(one.stat().st_size for one in home.rglob("*") if one.is_file())
    hosting.stored = lambda *_what: None
    (saved,) = hosting.save(dump(SIZE))

    assert left <= 2 * hosting.segment_bytes + 65536
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256
    wait_for(lambda: spool(home) == [])


def wait_for(fact) -> None:
    for _ in range(200):
        if fact():
            return
        time.sleep(0.05)
    raise AssertionError("still not so after 10 s")


@pytest.mark.parametrize("lines", [0, 5, 11, 14, 17, 20])
def test_a_line_cut_for_ever_leaves_nothing(home: Path, lines: int):
    hosting = Hosting(transport=CutTransport(Host("local"), lines))

    with pytest.raises(LineCut):
        hosting.save(dump(SIZE * 3))

    wait_for(lambda: spool(home) == [])


@pytest.mark.usefixtures("home")
def test_two_controllers_at_once_do_not_mix_their_data():
    """The lock on the host keeps them apart; should it fail, the later one wins, whole."""
    first, second = Hosting(), Hosting()
    begun = threading.Event()
    outcome: list[object] = []

    def slowly(_stream: str, _size: int) -> None:
        begun.set()
        time.sleep(0.1)

    def run() -> None:
        first.stored = slowly
        try:
            outcome.extend(first.save(dump(2_000_000)))
        except (StepFailed, UnreadableAnswer) as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait(20)
    (saved,) = second.save(dump(SIZE))
    thread.join(60)

    assert hashlib.sha256(second.plain(saved)).hexdigest() == saved.raw_sha256
    assert outcome
    if not isinstance(outcome[0], Exception):
        assert hashlib.sha256(first.plain(outcome[0])).hexdigest() == outcome[0].raw_sha256


def test_no_secret_and_no_address_is_an_argument(home: Path, userland: Userland):
    userland.become("gnu")
    log = home / "arguments"
    for tool in ("curl", "age", "tar", "php"):
        userland.shim(tool, f'printf "%s\\n" "$*" >>{log}\nexec /usr/bin/{tool} "$@"')

    Hosting().save(dump())

    assert "http" not in log.read_text()
    assert "X-Amz" not in log.read_text()
