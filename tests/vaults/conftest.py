"""A real S3 server for the vault tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vaults.seaweed import Seaweed, running


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with running(Path(tmp_path_factory.mktemp("seaweed"))) as server:
        yield server
