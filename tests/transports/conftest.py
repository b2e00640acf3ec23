"""A real sshd for the transport tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.transports.relay import Relay, relay_to
from tests.transports.sshd import Sshd, running


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def relay(sshd: Sshd) -> Iterator[Relay]:
    with relay_to(sshd.port) as one:
        yield one
