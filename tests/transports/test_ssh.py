"""A real sshd, reached through Fabric, keeps the transport's promises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.transports.contract import (
    ANY_WORDS,
    RealContract,
    assert_no_word_escapes_its_quotes,
)
from tests.transports.sshd import Sshd

from opsplay.transports import open_transport

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def shared(sshd: Sshd):
    with_host = open_transport(sshd.host())
    yield with_host
    with_host.close()


class TestSsh(RealContract):
    @pytest.fixture
    def transport(self, sshd: Sshd):
        with_host = open_transport(sshd.host())
        yield with_host
        with_host.close()


@settings(max_examples=25, deadline=None)
@given(words=ANY_WORDS)
def test_no_word_escapes_its_quotes(shared, words: list[str]):
    assert_no_word_escapes_its_quotes(shared, words)
