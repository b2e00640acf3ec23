"""What every test may use: the lab."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workers.postgres import Server, postgres

from opsplay.lab import Lab

MEMORY = Path("/dev/shm")
ENOUGH = 4 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Let coverage count what test processes do themselves.

    The hundreds of processes that they start would take twice as long with it.
    """
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(scope="session")
def lab_room() -> Iterator[Path]:
    """A directory outside the repository for labs: in memory where there is enough of it."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    with tempfile.TemporaryDirectory(
        prefix="opsplay-lab-", dir=MEMORY if roomy else None, ignore_cleanup_errors=True
    ) as room:
        yield Path(room)


@pytest.fixture(scope="session")
def lab(lab_room: Path) -> Iterator[Lab]:
    """A lab for this process; `$OPSPLAY_TEST_LAB` names one that runs and stays."""
    chosen = os.environ.get("OPSPLAY_TEST_LAB", "")
    lab = Lab.up(Path(chosen) if chosen else lab_room / "lab")
    try:
        yield lab
    finally:
        if not chosen:
            lab.down(remove=True)


@pytest.fixture(scope="session")
def database_server() -> Iterator[Server]:
    """A PostgreSQL server for this process, empty; it is installed where it is missing."""
    with postgres() as server:
        yield server


@pytest.fixture
def fresh_lab(lab: Lab) -> Lab:
    """The lab with both sites, the bucket and the update offers as they were at first."""
    lab.start_source()
    lab.reset()
    return lab
