"""This machine as a host keeps the transport's promises."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from tests.transports.contract import (
    ANY_WORDS,
    RealContract,
    assert_no_word_escapes_its_quotes,
)

from opsplay.core.environment import Host
from opsplay.transports import open_transport


@pytest.fixture(scope="module")
def shared():
    return open_transport(Host("local"))


class TestLocal(RealContract):
    @pytest.fixture
    def transport(self):
        return open_transport(Host("local"))

    def test_the_controllers_environment_stays_with_it(self, transport, monkeypatch):
        monkeypatch.setenv("VAULT_KEY", "canary-in-the-environment")

        assert "canary" not in transport.run("env").stdout

    def test_a_script_has_a_session_of_its_own(self, transport):
        session = transport.run("cut -d ' ' -f 6 < /proc/$$/stat").stdout.strip()

        assert int(session) != os.getsid(0)


@settings(max_examples=25, deadline=None)
@given(words=ANY_WORDS)
def test_no_word_escapes_its_quotes(shared, words: list[str]):
    assert_no_word_escapes_its_quotes(shared, words)
