"""Every way back: through chains of increments, onto hosts of all makes, in part, twice, resumed."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.backup.conftest import KEY, Bench, tree
from tests.backup.fault_proxy import FaultProxy
from tests.backup.userland import Userland

from opsplay.core.action import Store
from opsplay.core.errors import InvalidInput, OpsplayError, StorageUnreachable, VaultRefused
from opsplay.core.snapshot import Snapshot
from opsplay.engine.lock import read_take, take_script
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real


def chain(bench: Bench) -> list[tuple[Snapshot, tuple[object, ...]]]:
    """Return three backups, each an increment on the one before, and the site as it was."""
    made = [(bench.take(), bench.fingerprint())]
    (bench.root / "photo.jpg").write_bytes(b"another photo" * 30_000)
    (bench.root / "tab\there \\n odd.php").write_text("<?php // new")
    (bench.root / "run.sh").unlink()
    bench.clock.sleep(3600)
    made.append((bench.take(run="20261122T063100-aaaaaa"), bench.fingerprint()))
    shutil.rmtree(bench.root / "a")
    (bench.root / "a").write_text("a file where a directory was")
    (bench.root / "link").unlink()
    (bench.root / "link").symlink_to("photo.jpg")
    bench.mariadb.sql("DELETE FROM orders WHERE id > 5", bench.database)
    bench.clock.sleep(3600)
    made.append((bench.take(run="20261122T073100-bbbbbb"), bench.fingerprint()))
    return made


@pytest.mark.proof
def test_each_of_a_chain_comes_back_exactly_as_it_was(bench: Bench):
    made = chain(bench)

    assert [snapshot.kind for snapshot, _ in made] == ["full", "incr", "incr"]
    for snapshot, before in (made[2], made[0], made[1]):
        bench.restore(snapshot)
        assert bench.fingerprint() == before


class Listening(LocalTransport):
    """Remembers all that is sent to the host."""

    def __init__(self, host) -> None:
        super().__init__(host)
        self.sent = bytearray()
        self.scripts: list[str] = []

    def open(self, script: str):
        return self._heard(super().open(script), script)

    def _heard(self, channel, script: str):
        self.scripts.append(script)
        send = channel.send

        def heard(data: bytes) -> None:
            self.sent += data
            send(data)

        channel.send = heard
        return channel


def proof(*words: str) -> list[object]:
    return [pytest.param(word, marks=pytest.mark.proof) for word in words]


@pytest.mark.parametrize("host", ["no-age", *proof("gnu", "no-openssl", "busybox", "busybox-php")])
def test_hosts_of_all_makes_pull_by_themselves_and_never_see_the_identity(
    bench: Bench, userland: Userland, host: str
):
    before = bench.fingerprint()
    snapshot = bench.take()
    bench.destroy()
    userland.become(host)
    for tool in ("zstd", "ln"):
        userland.link(tool)
    line = Listening(bench.site.here.host)

    done = bench.restore(snapshot, transport=line)

    assert bench.fingerprint() == before
    assert done.forecast.way == "direct"
    assert len(line.sent) < 30_000
    told = bytes(line.sent).decode(errors="replace") + "".join(line.scripts)
    assert "AGE-SECRET-KEY-1" in told
    assert str(KEY) not in told
    assert bench.spools == []


@pytest.mark.proof
def test_a_host_that_can_neither_decrypt_nor_fetch_gets_its_bytes_over_the_line(
    bench: Bench, userland: Userland
):
    before = bench.fingerprint()
    snapshot = bench.take()
    bench.destroy()
    userland.become("bare")
    for tool in ("zstd", "ln"):
        userland.link(tool)

    done = bench.restore(snapshot)

    assert bench.fingerprint() == before
    assert done.forecast.way == "relay"
    assert "neither age nor PHP" in str(done.forecast)


def test_no_archive_has_to_make_a_directory_that_another_may_be_making(
    bench: Bench, userland: Userland
):
    """GNU tar, of which several run at once, fails where another is quicker by a moment."""
    (bench.root / "a\\n b" / "deep").mkdir(parents=True)
    (bench.root / "a\\n b" / "deep" / "file").write_text("text")
    snapshot = bench.take()
    before = bench.fingerprint()
    bench.destroy()
    userland.shim("tar", _STRICT_TAR)

    bench.restore(snapshot)

    assert bench.fingerprint() == before


_STRICT_TAR = """
for word; do
    [ "$last" != -C ] || tree=$word
    [ "$last" != -T ] || names=$word
    last=$word
done
while IFS= read -r name; do
    [ -z "${names:-}" ] || [ -d "$(printf %b "$tree/${name%/*}")" ] || { echo "no directory for $name" >&2; exit 2; }
done <"${names:-/dev/null}"
exec /bin/tar "$@"
"""


def test_what_was_there_before_is_kept(bench: Bench, tmp_path: Path):
    snapshot = bench.take()
    (bench.root / "order.pdf").write_text("came in after the backup")
    bench.mariadb.sql("INSERT INTO orders (who) VALUES ('late')", bench.database)
    now = tree(bench.root)
    kept = tmp_path / "run"
    kept.mkdir()

    def switch(script: str):
        return bench.transport.run(f"export OPSPLAY_RUN_DIR={kept}\n{script}", timeout=None)

    done = bench.restore(snapshot, switch=switch)

    old = tree(kept / "before" / "files")
    assert {name: old[name] for name in old if name != "closed"} == now
    assert done.kept == (f"database in {kept}/before/database.sql.gz",)
    assert not Path(f"{bench.root}.opsplay-before").exists()


def test_single_files_come_back_and_nothing_else_is_touched(bench: Bench, proxy: FaultProxy):
    snapshot, before = bench.take(), tree(bench.root)
    (bench.root / "photo.jpg").write_text("broken")
    shutil.rmtree(bench.root / "a")
    (bench.root / "a").write_text("a file where a directory was")
    (bench.root / "run.sh").unlink()
    (bench.root / "mine.txt").write_text("stays")
    now = tree(bench.root)
    wanted = ["photo.jpg", "./a/b/", "run.sh"]

    done = bench.restore(snapshot, vault=bench.through(proxy), paths=wanted)

    after = tree(bench.root)
    changed = {name for name in after if after[name] != now.get(name)}
    assert changed == {"photo.jpg", "a", "a/b", "a/b/.hidden", "run.sh"}
    assert all(after[name] == before[name] for name in changed - {"a"})
    assert not any("/db/" in asked.path for asked in proxy.asked if asked.method == "GET")
    assert "photo.jpg" in str(done)
    assert bench.spools == []


def test_a_path_that_the_backup_does_not_hold_is_refused_with_a_guess(bench: Bench):
    snapshot = bench.take()

    with pytest.raises(InvalidInput, match=r"holds no photo\.jpeg; did you mean photo\.jpg"):
        bench.restore(snapshot, paths=["photo.jpeg"])
    with pytest.raises(InvalidInput, match="no path below"):
        bench.restore(snapshot, paths=["../etc/passwd"])


def test_what_was_fetched_is_not_fetched_again(bench: Bench, proxy: FaultProxy):
    before = bench.fingerprint()
    snapshot = bench.take()
    last = snapshot.streams[-1].segments[-1].key
    bench.destroy()
    proxy.rule = lambda asked: "503" if asked.by_curl and asked.path.endswith(last) else ""
    with pytest.raises(StorageUnreachable, match=last) as caught:
        bench.restore(snapshot, vault=bench.through(proxy))
    assert "what was fetched stays on the host for 2 days" in caught.value.state
    take_the_lock(bench)
    proxy.rule = lambda _asked: ""
    proxy.asked.clear()

    bench.restore(snapshot, vault=bench.through(proxy))

    fetched = {asked.path.partition("/v1/")[2] for asked in proxy.asked if asked.by_curl}
    assert bench.fingerprint() == before
    assert bench.spools == []
    assert not any("/db/" in path for path in fetched - _sample(snapshot))


def take_the_lock(bench: Bench) -> None:
    answer = bench.transport.run(take_script(bench.site, "run", bench.clock.now()))
    read_take(answer, bench.site, "run")


def test_what_nobody_went_on_with_for_two_days_goes_with_the_next_run_on_its_host(bench: Bench):
    fetched = bench.home / ".opsplay/restore"
    given_up, young = fetched / f"{bench.site.name}@production", fetched / "other@production"
    tree_on_another_disk = Path(f"{bench.root}.opsplay-restore/tree")
    for folder in (given_up, young, tree_on_another_disk):
        folder.mkdir(parents=True)
        (folder / "database").write_text("somebody")
    long_ago = time.time() - 2 * 86400 - 60
    os.utime(given_up, (long_ago, long_ago))

    take_the_lock(bench)

    assert bench.spools == [young]
    assert not tree_on_another_disk.parent.exists()
    assert bench.root.exists()


@pytest.mark.parametrize(("days", "there"), [(29, True), (31, False)])
def test_what_a_restore_replaced_on_another_disk_goes_after_thirty_days(bench: Bench, days, there):
    kept = bench.root.with_name(f"{bench.root.name}.opsplay-before")
    kept.mkdir()
    (kept / "index.php").write_text("as it was")
    then = time.time() - days * 86400 - 60
    os.utime(kept, (then, then))

    take_the_lock(bench)

    assert kept.exists() == there
    assert bench.root.exists()


def _sample(snapshot: Snapshot) -> set[str]:
    largest = max(snapshot.segments[:-1], key=lambda one: one.bytes)
    return {largest.key.removeprefix("v1/")}


@pytest.mark.parametrize("fault", proof("503", "reset", "cut-reply", "flip-reply", "lose-reply"))
def test_a_line_that_fails_now_and_then_does_no_harm(bench: Bench, proxy: FaultProxy, fault: str):
    before = bench.fingerprint()
    snapshot = bench.take()
    proxy.rule = lambda one: fault if one.by_curl and one.of_path == 1 else ""

    bench.restore(snapshot, vault=bench.through(proxy))

    assert bench.fingerprint() == before
    assert len(proxy.faults) >= 5


@pytest.mark.parametrize("fault", ["flip-reply", *proof("cut-reply")])
def test_bytes_that_are_wrong_each_time_are_refused(bench: Bench, proxy: FaultProxy, fault: str):
    snapshot = bench.take()
    wrong = snapshot.streams[1].segments[0].key
    proxy.rule = lambda one: fault if one.by_curl and one.path.endswith(wrong) else ""
    before = bench.fingerprint()

    with pytest.raises((VaultRefused, StorageUnreachable), match=wrong) as caught:
        bench.restore(snapshot, vault=bench.through(proxy))

    assert "nothing had been changed" in caught.value.state
    assert bench.fingerprint() == before
    assert not Path(f"{bench.root}.diary").exists()


def test_the_forecast_is_told_before_anything_is_fetched(bench: Bench):
    snapshot = bench.take()
    told: list[str] = []

    def progress(_site: str, what: str, *_: float) -> None:
        told.append(what)
        if len(told) == 1:
            raise OpsplayError("stopped")

    with pytest.raises(OpsplayError, match="stopped"):
        bench.restore(snapshot, progress=progress)
    assert "by the host's line" in told[0]
    assert bench.spools == []


@pytest.mark.proof
def test_a_site_comes_back_on_a_host_where_it_never_was(bench: Bench, tmp_path: Path):
    before = bench.fingerprint()
    snapshot = bench.take()
    bench.destroy()
    elsewhere = tmp_path / "srv" / "www" / "new" / "htdocs"
    site = bench.site
    here = replace(site.here, root=str(elsewhere))
    site = replace(site, environments={"production": here})

    bench.restore(snapshot, site=site)

    assert bench.fingerprint(root=elsewhere) == before


@pytest.mark.proof
def test_a_backup_without_an_index_comes_back_as_a_whole(bench: Bench):
    """As the first versions made them: one archive of all files."""
    (bench.root / "photo.jpg").unlink()
    before = bench.fingerprint()
    snapshot = bench.take(store=Store(include=("files",)))
    (archive,) = snapshot.streams
    first = replace(snapshot, index=None, streams=(replace(archive, name="files"),))
    (bench.root / "run.sh").write_text("changed")

    bench.restore(first, include=["files"])

    assert bench.fingerprint() == before
