"""Whatever breaks during a backup: no half backup is ever listed."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.backup.conftest import Bench
from tests.backup.fault_proxy import Asked, FaultProxy

from opsplay.core.errors import (
    LineCut,
    StepFailed,
    Unreachable,
    UnreadableAnswer,
    VaultRefused,
)
from opsplay.engine.snapshots import snapshots, verify_listing
from opsplay.kit.shell import quote
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real


def only_the_host(fault, often=lambda _asked: True):
    """Return a rule: the host's PUTs meet the fault, the controller's requests do not."""
    return lambda asked: fault if asked.method == "PUT" and asked.by_curl and often(asked) else ""


def first_try(asked: Asked) -> bool:
    return asked.of_path == 1


@pytest.mark.parametrize(
    "fault", ["503", "500-after-body", "reset", "reset-mid-body", "lose-reply", "fake-200"]
)
def test_each_segment_is_sent_again_until_the_storage_has_it(bench, proxy: FaultProxy, fault: str):
    proxy.rule = only_the_host(fault, first_try)
    retries: list[tuple[str, int, float]] = []

    snapshot = bench.take(vault=bench.through(proxy), retried=lambda *what: retries.append(what))

    assert verify_listing(bench.vault, snapshot) == ()
    by_host = sum(len(stream.segments) for stream in snapshot.streams)
    assert len(proxy.faults) == 1 + by_host  # the trial whether the host reaches it
    expected = 0 if fault == "lose-reply" else by_host
    assert len(retries) == expected
    assert all("is not in vault lab" in error for error, _attempt, _wait in retries)


def test_a_storage_that_says_503_four_times_in_ten_is_lived_with(bench, proxy: FaultProxy):
    luck = random.Random(7)
    proxy.rule = lambda _asked: "503" if luck.random() < 0.4 else ""
    before = bench.fingerprint()
    snapshot = bench.take(vault=bench.through(proxy))
    bench.destroy()

    bench.restore(snapshot, vault=bench.through(proxy))

    assert bench.fingerprint() == before
    assert len(proxy.faults) > 5


def test_a_storage_that_never_keeps_what_it_takes_gets_no_manifest(bench, proxy: FaultProxy):
    proxy.rule = only_the_host("fake-200")

    with pytest.raises(VaultRefused, match=r"is not in vault lab: HTTP 200"):
        bench.take(vault=bench.through(proxy))

    assert_nothing_sealed(bench)


def test_a_storage_that_refuses_is_not_asked_again(bench, proxy: FaultProxy):
    proxy.rule = only_the_host("403")

    with pytest.raises(VaultRefused, match=r"refused .*: HTTP 403"):
        bench.take(vault=bench.through(proxy))

    assert len(proxy.faults) == 2  # the trial, which only asks whether anybody answers; a segment
    assert_nothing_sealed(bench)


def test_a_storage_that_goes_away_is_unreachable(bench, proxy: FaultProxy, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    proxy.rule = lambda asked: "503" if asked.method in {"HEAD", "GET"} else ""

    with pytest.raises(Unreachable, match="in trouble"):
        bench.take(vault=bench.through(proxy))

    assert_nothing_sealed(bench)


def assert_nothing_sealed(bench: Bench) -> None:
    assert snapshots(bench.vault, bench.site.name) == ()
    assert bench.spools == []


def shim(bench: Bench, monkeypatch, tool: str, script: str) -> None:
    """Put a tool that misbehaves before the real one on the host's path."""
    folder = bench.home / "shims"
    folder.mkdir(exist_ok=True)
    (folder / tool).write_text(f"#!/bin/sh\n{script}\n")
    (folder / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin")


REAL_DUMP = '/usr/bin/mariadb-dump "$@"'


@pytest.mark.parametrize(
    ("tool", "script", "says"),
    [
        ("mariadb-dump", f"{REAL_DUMP} | /usr/bin/head -c 200000; exit 3", "ended with status 3"),
        ("mariadb-dump", "echo 'Access denied' >&2; exit 2", "Access denied"),
        ("mariadb-dump", f"{REAL_DUMP} | /usr/bin/head -c 200000", "does not end with its own"),
        ("mariadb-dump", "exit 0", "does not end with its own"),
        ("tar", '/usr/bin/tar "$@" | /usr/bin/head -c 300000; kill -9 $$', "status 137"),
        ("zstd", '/usr/bin/zstd "$@" | /usr/bin/head -c 70000; exit 9', "zstd ended with status 9"),
        (
            "age",
            _AGE := "case $1 in --version) exec /usr/bin/age --version;; esac\n"
            '/usr/bin/age "$@" | /usr/bin/head -c 150000; kill -9 $$',
            "age ended with status 137",
        ),
        (
            "dd",
            "case $* in *of=*) echo No space left >&2; exit 1;; esac; exec /usr/bin/dd $*",
            "No space left",
        ),
        ("openssl", "exit 0", "ended early|in the middle of a backup"),
    ],
)
def test_a_pipe_that_breaks_leaves_no_backup(bench, monkeypatch, tool, script, says):
    shim(bench, monkeypatch, tool, script)

    with pytest.raises((StepFailed, UnreadableAnswer), match=says) as caught:
        bench.take()

    assert "no backup was sealed" in caught.value.state
    assert caught.value.site == bench.site.name
    assert_nothing_sealed(bench)


def test_a_host_that_can_neither_encrypt_nor_may_relay_is_told_what_it_lacks(
    bench, monkeypatch, tmp_path: Path
):
    (tmp_path / "bin").mkdir()
    for tool in _WITHOUT_AGE.split():
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(StepFailed, match="neither age nor PHP with libsodium"):
        bench.take(settings=replace(bench.settings, transport="direct"))


_WITHOUT_AGE = "sh uname sed cat rm mkdir sha256sum dd tee mkfifo gzip tail wc tr find curl base64"


def wait_for(fact) -> None:
    """An attempt whose line was cut may take a moment to notice and clean up."""
    for _ in range(100):
        if fact():
            return
        time.sleep(0.05)
    raise AssertionError("still not so after 5 s")


class CutTransport(LocalTransport):
    """A line that is cut after so many lines from the host."""

    def __init__(self, host, lines: int) -> None:
        super().__init__(host)
        self.lines = lines

    def open(self, script: str):
        channel = super().open(script)
        real = channel.receive_line

        def receive_line() -> bytes:
            self.lines -= 1
            if self.lines < 0:
                channel.close()
                raise LineCut("the line was cut")
            return real()

        channel.receive_line = receive_line
        return channel


@pytest.mark.parametrize("lines", [0, 3, 10, 11, 12, 13, 14, 16])
def test_a_line_that_is_cut_leaves_no_backup_and_the_next_attempt_works(bench, lines: int):
    with pytest.raises(LineCut):
        bench.take(transport=CutTransport(bench.site.here.host, lines))
    assert snapshots(bench.vault, bench.site.name) == ()

    snapshot = bench.take(attempt=2)

    assert snapshots(bench.vault, bench.site.name) == (snapshot,)
    assert all("-2." in segment.key for segment in snapshot.segments)
    wait_for(lambda: bench.spools == [])


def test_what_an_ended_attempt_left_in_the_spool_is_removed(bench: Bench):
    left = bench.home / ".opsplay" / "spool" / f"{bench.site.name}@production@1"
    left.mkdir(parents=True)
    (left / "segment").write_bytes(b"half a segment")

    bench.take()

    assert bench.spools == []


class LyingTransport(LocalTransport):
    """A host that says what it likes."""

    def __init__(self, host, lines: tuple[bytes, ...]) -> None:
        super().__init__(host)
        self.text = b"".join(lines).decode()

    def open(self, script: str):
        return super().open(f"printf %s {quote(self.text)}; cat >/dev/null")


SUM = b"ab" * 32
READY = b"READY comp=zstd crypt=age send=none tar=gnu\n"


@pytest.mark.parametrize(
    "lines",
    [
        (b"hello\n",),
        (READY, b"SEG files 0 10 " + SUM + b"\n"),
        (READY, b"SEG database 1 10 " + SUM + b"\n"),
        (READY, b"SEG database 0 999999999 " + SUM + b"\n"),
        (READY, b"SEG database 0 0 " + SUM + b"\n"),
        (READY, b"SEG database 0 10 " + SUM + b"\n", b"0123456789"),
        (READY, b"END database 3\n"),
        (READY, b"END database 0\n", b"PIPE database src=0\n", b"WHY\n"),
    ],
)
def test_a_host_that_says_something_else_is_not_believed(bench, lines: tuple[bytes, ...]):
    transport = LyingTransport(bench.site.here.host, lines)

    with pytest.raises(
        (UnreadableAnswer, StepFailed), match=r"in the middle of|not those announced"
    ):
        bench.take(transport=transport)

    assert snapshots(bench.vault, bench.site.name) == ()
