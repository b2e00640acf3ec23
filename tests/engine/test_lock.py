"""The host lock, by its real scripts on real shells."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsplay.core.environment import Environment, Host
from opsplay.core.errors import Fenced, Locked, UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.engine.lock import EXPIRY, free_script, lock_name, read_free, read_take, take_script

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 22, 5, 31, tzinfo=UTC)


def site(root: str = "/srv/it's a shop", name: str = "bakery") -> Site:
    here = Environment("production", Host("local"), root, "http://shop.example")
    return Site(name, "paper-test-cms", {"production": here})


@pytest.fixture(params=["dash", "bash", "busybox"])
def sh(request, tmp_path):
    words = [request.param] + (["sh"] if request.param == "busybox" else [])

    def run(script: str) -> Answer:
        done = subprocess.run(
            [*words, "-c", script],
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


def take(sh, run: str, now: datetime = NOW, epoch: int = 1) -> bool:
    try:
        read_take(sh(take_script(site(), run, now, epoch)), site(), run, epoch)
    except Locked:
        return False
    return True


def directory(tmp_path):
    return tmp_path / ".opsplay/locks" / lock_name(site())


def test_the_first_run_gets_it_again_and_again_and_no_other_does(sh):
    assert [take(sh, "run-1"), take(sh, "run-1"), take(sh, "run-2")] == [True, True, False]


def test_who_is_refused_is_told_who_holds_it_and_what_to_do(sh):
    take(sh, "run-1")

    with pytest.raises(Locked, match=r"held by run run-1 of .+@.+ since 2026-11-22 05:31:00 UTC"):
        read_take(sh(take_script(site(), "run-2", NOW)), site(), "run-2")


def test_only_its_holder_frees_it(sh, tmp_path):
    take(sh, "run-1")

    assert sh(free_script(site(), "run-2", 1)).ok
    assert not take(sh, "run-2")
    assert sh(free_script(site(), "run-1", 1)).ok
    assert sh(free_script(site(), "run-1", 1)).ok
    assert take(sh, "run-2")
    assert [path.name for path in (tmp_path / ".opsplay/locks").iterdir()] == [lock_name(site())]


def age(tmp_path, seconds: float) -> None:
    """Let the lock's holder have been silent for so long, by the host's own time."""
    beat = directory(tmp_path) / "beat"
    how, time = beat.read_text().split()
    beat.write_text(f"{how} {int(time) - int(seconds)}\n")


def test_a_lock_whose_holder_was_silent_for_long_belongs_to_nobody(sh, tmp_path):
    take(sh, "run-1")

    age(tmp_path, EXPIRY.total_seconds() - 60)
    assert not take(sh, "run-2")
    age(tmp_path, 120)
    assert take(sh, "run-2")
    assert not take(sh, "run-1")


@pytest.mark.parametrize("days", [-1, 1])
def test_a_controller_whose_clock_is_a_day_off_takes_no_lock_and_keeps_none(sh, tmp_path, days):
    take(sh, "run-1")

    assert not take(sh, "run-2", NOW + timedelta(days=days))
    age(tmp_path, EXPIRY.total_seconds() + 1)
    assert take(sh, "run-2", NOW + timedelta(days=days))


def test_a_lock_from_before_a_restart_of_its_host_ends_some_hours_after_it(sh, tmp_path):
    take(sh, "run-1")

    (directory(tmp_path) / "beat").write_text("u 99999999999\n")  # it was up for longer then
    long_up = float(Path("/proc/uptime").read_text().split()[0]) > EXPIRY.total_seconds()
    assert take(sh, "run-2") == long_up


def test_the_lock_of_an_earlier_version_counts_by_its_own_time_and_as_epoch_0(sh, tmp_path):
    directory(tmp_path).mkdir(parents=True)
    for until, mine in ((2**40, False), (1, True)):
        (directory(tmp_path) / "holder").write_text(f"run-1\nwho\nwhen\n{until}\n")
        assert take(sh, "run-2") == mine
    (directory(tmp_path) / "holder").write_text(f"run-1\nwho\nwhen\n{2**40}\n")

    assert take(sh, "run-1", epoch=0)
    assert take(sh, "run-1", epoch=1)


def test_the_run_itself_takes_its_lock_over_with_a_higher_epoch_and_never_back(sh, tmp_path):
    take(sh, "run-1", epoch=7)

    take(sh, "run-1", epoch=9)

    with pytest.raises(Fenced, match=r"this process \(epoch 7\) may not act .*epoch 9"):
        take(sh, "run-1", epoch=7)
    with pytest.raises(Fenced):
        read_free(sh(free_script(site(), "run-1", 7)), site(), "run-1", 7)
    assert (directory(tmp_path) / "holder").read_text().splitlines()[4] == "9"
    read_free(sh(free_script(site(), "run-1", 9)), site(), "run-1", 9)
    assert not directory(tmp_path).exists()


@pytest.mark.parametrize("sh", ["dash"], indirect=True)
def test_of_many_epochs_at_once_the_highest_has_it_in_the_end(sh, tmp_path):
    def fenced(epoch: int) -> bool:
        try:
            return not take(sh, "run-1", epoch=epoch)
        except Fenced:
            return True

    with ThreadPoolExecutor(8) as pool:
        lost = list(pool.map(fenced, range(8)))

    assert not lost[7]
    assert (directory(tmp_path) / "holder").read_text().splitlines()[4] == "7"
    assert list((tmp_path / ".opsplay/locks").iterdir()) == [directory(tmp_path)]


@pytest.mark.parametrize("sh", ["dash"], indirect=True)  # 15 seconds are enough once
@pytest.mark.proof
def test_a_taker_that_was_killed_while_it_changed_the_lock_holds_nobody_up(sh, tmp_path):
    directory(tmp_path).with_suffix(".turn").mkdir(parents=True)

    assert take(sh, "run-1")


@pytest.mark.parametrize("sh", ["dash", "busybox"], indirect=True)
def test_of_many_who_want_it_at_once_one_gets_it(sh, tmp_path):
    for state in ("absent", "run-old\nwho\nwhen\n1\n", ""):
        if state != "absent":
            (directory(tmp_path) / "beat").unlink()
            (directory(tmp_path) / "holder").write_text(state)
        with ThreadPoolExecutor(8) as pool:
            won = [
                one
                for one in pool.map(lambda n: take(sh, f"run-{n}") and f"run-{n}", range(8))
                if one
            ]
        assert len(won) == 1, state
        assert (directory(tmp_path) / "holder").read_text().splitlines()[0] == won[0]


@pytest.mark.parametrize("sh", ["dash"], indirect=True)
def test_an_empty_lock_of_a_killed_taker_goes_to_one_of_the_next(sh, tmp_path):
    directory(tmp_path).mkdir(parents=True)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda number: take(sh, f"run-{number}"), range(4))) == 1


def test_sites_are_kept_apart_by_their_root_not_by_their_name():
    assert lock_name(site("/srv/a/")) == lock_name(site("/srv/a", "other"))
    assert lock_name(site("/srv/a")) != lock_name(site("/srv/b"))


def test_a_host_that_cannot_keep_a_lock_is_not_believed(sh, tmp_path):
    (tmp_path / ".opsplay").write_text("a file is in the way")

    with pytest.raises(UnreadableAnswer, match="could not be taken"):
        read_take(sh(take_script(site(), "run-1", NOW)), site(), "run-1")


def test_who_takes_it_leaves_the_newest_ways_back_and_only_those(sh, tmp_path):
    runs = tmp_path / ".opsplay/runs"
    for day in ("01", "08", "15", "22"):
        (runs / f"202611{day}T020000-aaaaaa/bakery-production/publish-1/restore-point").mkdir(
            parents=True
        )
    (runs / "20261101T020000-aaaaaa/florist-production").mkdir()

    take(sh, "20261129T020000-bbbbbb")

    left = sorted(str(path.relative_to(runs)) for path in runs.glob("*/*"))
    assert left == [
        "20261101T020000-aaaaaa/florist-production",
        "20261115T020000-aaaaaa/bakery-production",
        "20261122T020000-aaaaaa/bakery-production",
    ]


def test_a_note_that_a_full_disk_cut_short_holds_nobody_up(sh, tmp_path):
    take(sh, "run-1")
    (directory(tmp_path) / "holder").write_text("")

    assert take(sh, "run-2")
