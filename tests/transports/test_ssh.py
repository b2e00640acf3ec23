"""A real sshd, reached through Fabric, keeps the transport's promises."""

from __future__ import annotations

import time
from dataclasses import fields

import pytest
from hypothesis import given, settings
from tests.transports.contract import (
    ANY_WORDS,
    RealContract,
    assert_no_word_escapes_its_quotes,
)
from tests.transports.sshd import Sshd

from opsplay.core.query import Answer
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


class TestSshInASequence(RealContract):
    """The same promises for a script whose session, or whose shell, was asked for ahead."""

    @pytest.fixture
    def transport(self, sshd: Sshd):
        with_host = open_transport(sshd.host())
        for _ in range(4):
            with_host.run("cat", stdin=b"warm")
        for cost in fields(with_host.counters):
            setattr(with_host.counters, cost.name, 0)
        yield with_host
        with_host.close()

    def test_nothing_leaks_from_one_script_to_the_next(self, transport):
        for stdin in (b"", b"for the first one only"):
            transport.run(LEAKY, stdin=stdin)

            assert transport.run(LOOK, stdin=stdin).stdout == FRESH

    def test_a_process_left_behind_writes_into_no_other_scripts_answer(self, transport):
        with pytest.raises(TimeoutError):  # it holds the streams, as with any SSH client
            transport.run("sleep 0.6 && echo late & echo early", timeout=0.3)
        time.sleep(0.4)

        assert transport.run("sleep 0.3; echo mine") == Answer(0, "mine\n")


LEAKY = """
cd /; umask 000; PATH=/nowhere; export LEAK=1; set -f; set -u; trap 'echo trapped' EXIT
leak() { echo leak; }; alias ls=leak; exec 2>&1; readonly HOME; kill -9 $$
"""
LOOK = """
[ "$PWD" != / ] && [ "$(umask)" != 0000 ] && [ -z "$LEAK" ] && cd / && echo * "$NONE" | grep -c '[*]'
command -v leak; trap; HOME=/x; echo "end"
"""
FRESH = "0\nend\n"


@settings(max_examples=25, deadline=None)
@given(words=ANY_WORDS)
def test_no_word_escapes_its_quotes(shared, words: list[str]):
    assert_no_word_escapes_its_quotes(shared, words)
