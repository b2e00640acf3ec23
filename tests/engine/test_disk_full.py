"""A full disk, on the controller or on the host: a clear error, nothing lost, and `resume` ends the run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.workplace import Workplace

from opsplay import app
from opsplay.app.answers import open_questions
from opsplay.core.errors import ExitStatus, OpsplayError

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture
def small(tmp_path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> str:
    """Return the command that leaves no room on a disk."""
    return f"dd if=/dev/zero of={disk}/filler bs=4k 2>/dev/null; true"


def stages(command: str, *, safe: bool) -> str:
    head = "  maintenance: true\n  on_failure: rollback\n" if safe else ""
    return f"""
- name: Work
{head}  steps:
    - command: {{run: 'echo once >> ../bakery-production.diary'}}
    - command: {{run: 'echo fill >> ../bakery-production.diary; {command}'}}
    - file: {{path: robots.txt, content: "new"}}
    - command: {{run: 'echo last >> ../bakery-production.diary'}}
"""


def words(place: Workplace) -> list[str]:
    return [word for word in place.diary() if word in {"once", "fill", "last"}]


@pytest.fixture
def host_on(small, tmp_path, monkeypatch) -> Workplace:
    """A workplace whose host keeps everything of ours on the small disk."""
    place = Workplace(tmp_path / "work").build()
    (place.folder / "home").rmdir()
    (place.folder / "home").symlink_to(small)
    monkeypatch.setenv("HOME", str(place.folder / "home"))
    return place


def test_a_host_whose_disk_gets_full_says_so_and_a_resume_takes_the_stage_back(host_on, small):
    ran = host_on.run(stages(fill(small), safe=True))

    told = [event for event in ran.events if event.kind == "site_finished"][-1].data["detail"]
    assert ran.exit_status == ExitStatus.FAILED
    assert "No space left on device" in told
    assert "df -h" in told
    (small / "filler").unlink()
    ended = app.resume(ran.run, host_on.options)

    assert ended.exit_status == ExitStatus.ROLLED_BACK
    assert words(host_on) == ["once", "fill"]
    assert not (host_on.root() / "robots.txt").exists()
    assert not host_on.root().with_name("bakery-production.closed").exists()
    assert list((small / ".opsplay/locks").iterdir()) == []


def test_on_a_host_whose_disk_is_full_from_the_start_nothing_is_done(host_on, small):
    subprocess.run(["sh", "-c", fill(small)], check=True)

    ran = host_on.run(stages("true", safe=True))

    told = [event for event in ran.events if event.kind == "site_finished"][-1].data["detail"]
    assert ran.exit_status == ExitStatus.FAILED
    assert "could not be taken" in told
    assert "is the disk full?" in told
    assert words(host_on) == []
    (small / "filler").unlink()
    assert app.resume(ran.run, host_on.options).exit_status == ExitStatus.DONE
    assert words(host_on) == ["once", "fill", "last"]
    assert list((small / ".opsplay/locks").iterdir()) == []


def test_a_command_whose_host_gets_full_still_tells_how_it_ended(host_on, small):
    ran = host_on.run(stages(f"{fill(small)}; exit 7", safe=False))

    results = [event.data for event in ran.events if event.kind == "result"]
    assert [one["outcome"] for one in results] == ["done", "failed"]
    assert "exit status 7" in results[-1]["detail"]


def test_a_controller_whose_disk_gets_full_says_so_and_a_resume_ends_the_run(small, workplace):
    options = replace(workplace.options, state=small)
    book = workplace.playbook(stages(fill(small), safe=True))

    with pytest.raises(OpsplayError, match=r"the journal .* could not be written: .*full") as told:
        app.run(book, options)

    assert "df -h" in told.value.next_command
    (small / "filler").unlink()
    for _ in range(2):
        ended = app.resume("last", options)
    journal = app.journal(options)

    assert journal.verify() is None
    assert open_questions(journal, ended.run) == {}
    journal.close()
    assert ended.exit_status == ExitStatus.DONE
    assert words(workplace) == ["once", "fill", "last"]
    assert (workplace.root() / "robots.txt").read_text() == "new"
    assert list((workplace.folder / "home/.opsplay/locks").iterdir()) == []
