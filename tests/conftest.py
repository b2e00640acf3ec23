"""What every test may use: the lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsplay.lab import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab for this process; `$OPSPLAY_TEST_LAB` names one that runs and stays."""
    chosen = os.environ.get("OPSPLAY_TEST_LAB", "")
    lab = Lab.up(Path(chosen) if chosen else tmp_path_factory.mktemp("lab"))
    try:
        yield lab
    finally:
        if not chosen:
            lab.down(remove=True)


@pytest.fixture
def fresh_lab(lab: Lab) -> Lab:
    """The lab with both sites, the bucket and the update offers as they were at first."""
    lab.start_source()
    lab.reset()
    return lab
