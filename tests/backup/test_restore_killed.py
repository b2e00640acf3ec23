"""kill -9 of either side of a restore, before each thing it says or does: the next one puts it right."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from tests.backup.conftest import Bench

from opsplay.core.errors import OpsplayError
from opsplay.core.snapshot import Snapshot
from opsplay.transports.local import LocalTransport
from opsplay.vaults import open_vault

pytestmark = pytest.mark.real

AT = 'echo "AT '


class Counting(LocalTransport):
    """Counts what is said to hosts and heard from them; `end(process)` is called before the n-th."""

    def __init__(self, host, at: int = 0, end=lambda _process: None) -> None:
        super().__init__(host)
        self.count = 0
        self._at, self._end = at, end
        self._lock = threading.Lock()

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0):
        self._tick(None)
        return super().run(script, stdin=stdin, timeout=timeout)

    def open(self, script: str):
        self._tick(None)
        channel = super().open(script)
        send, line = channel.send, channel.receive_line

        def counted_send(data: bytes) -> None:
            self._tick(channel._process)
            send(data)

        def counted_line() -> bytes:
            self._tick(channel._process)
            return line()

        channel.send, channel.receive_line = counted_send, counted_line
        return channel

    def _tick(self, process) -> None:
        with self._lock:
            self.count += 1
            now = self.count == self._at
        if now:
            self._end(process)


def lines(bench: Bench, snapshot: Snapshot) -> int:
    """Return how many things a restore says, hears and runs."""
    line = Counting(bench.site.here.host)
    bench.restore(snapshot, transport=line)
    return line.count


def wreck(bench: Bench) -> tuple[object, ...]:
    (bench.root / "run.sh").write_text("broken")
    bench.mariadb.sql("DELETE FROM orders WHERE id > 9", bench.database)
    return bench.fingerprint()


def insist(bench: Bench, snapshot: Snapshot, good: tuple[object, ...], bad: tuple[object, ...]):
    """Nothing half restored is open; restoring again puts it right and leaves nothing behind."""
    if not (bench.root / "closed").exists():
        assert bench.fingerprint() in (good, bad)
    bench.restore(snapshot)
    assert bench.fingerprint() == good
    assert bench.spools == []
    assert not (bench.root / "closed").exists()


def killed_controller(bench: Bench, snapshot: Snapshot, at: int) -> int:
    """Restore in a process of its own that kills itself before its n-th act; return its status."""
    child = os.fork()
    if child == 0:
        line = Counting(
            bench.site.here.host, at, lambda _process: os.kill(os.getpid(), signal.SIGKILL)
        )
        bench.restore(snapshot, transport=line, vault=open_vault(bench.settings))
        os._exit(0)
    return os.waitpid(child, 0)[1]


def cut_host(bench: Bench, snapshot: Snapshot, at: int) -> bool:
    """Restore while the host's script is killed at its n-th line; return whether that was noticed."""
    line = Counting(bench.site.here.host, at, lambda one: one and os.killpg(one.pid, 9))
    try:
        bench.restore(snapshot, transport=line)
    except OpsplayError:
        return True
    return False


def parts_of(bench: Bench, snapshot: Snapshot) -> Iterator[str]:
    """Yield the switch's script as it is when the host dies before each line it says."""
    seen: list[str] = []

    def keep(script: str):
        seen.append(script)
        return bench.transport.run(script, timeout=None)

    bench.restore(snapshot, switch=keep)
    pieces = seen[0].split(AT)
    for number in range(1, len(pieces)):
        yield AT.join(pieces[:number]) + "kill -9 $$\n" + AT + AT.join(pieces[number:])


def killed_switch(bench: Bench, snapshot: Snapshot, script: str) -> None:
    with pytest.raises(OpsplayError, match="restore failed at"):
        bench.restore(snapshot, switch=lambda _: bench.transport.run(script, timeout=None))


def spread(count: int, of: int) -> list[int]:
    return [1 + number * of // count for number in range(count)]


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_controller_that_is_killed_leaves_nothing_that_the_next_cannot_mend(bench: Bench):
    good = bench.fingerprint()
    snapshot = bench.take()
    total = lines(bench, snapshot)
    rounds = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "6"))

    for at in spread(min(rounds, total), total):
        bad = wreck(bench)
        assert os.WTERMSIG(killed_controller(bench, snapshot, at)) == signal.SIGKILL
        insist(bench, snapshot, good, bad)


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_host_that_is_killed_while_it_fetches_is_noticed_and_mended(bench: Bench):
    good = bench.fingerprint()
    snapshot = bench.take()
    total = lines(bench, snapshot)
    rounds = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "6"))

    noticed = 0
    for at in spread(min(rounds, total), total):
        bad = wreck(bench)
        noticed += cut_host(bench, snapshot, at)
        insist(bench, snapshot, good, bad)
    assert noticed


@pytest.mark.timeout(300)
def test_a_host_that_is_killed_in_the_switch_keeps_its_door_closed_and_is_mended(bench: Bench):
    good = bench.fingerprint()
    snapshot = bench.take()
    scripts = list(parts_of(bench, snapshot))

    assert len(scripts) == 7  # close keep files close database open end
    for script in (
        (scripts[2], scripts[4]) if not os.environ.get("OPSPLAY_SOAK_ROUNDS") else scripts
    ):
        bad = wreck(bench)
        killed_switch(bench, snapshot, script)
        insist(bench, snapshot, good, bad)
