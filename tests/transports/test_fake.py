"""The fake keeps the transport's promises, as far as scripted answers can."""

from __future__ import annotations

import hashlib
import re

import pytest
from tests.transports import contract
from tests.transports.contract import TransportContract

from opsplay.core.errors import LineCut, Unreachable
from opsplay.core.query import Answer
from opsplay.core.transport import Transport
from opsplay.transports.fake import FakeTransport, Talk


def pong(heard: bytes) -> bytes:
    return b"pong " + heard


def same(text: str):
    return lambda script: script == text


def noise() -> Answer:
    line = "error number {}, at some length, so that it adds up\n"
    return Answer(0, stderr="".join(line.format(number) for number in range(2500)))


class TestFake(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return (
            FakeTransport()
            .on(same(contract.NOTHING), "")
            .on(contract.BOTH, Answer(3, "out\n", "err\n"))
            .on(contract.WORDS, 'a b|it\'s|say "hi"|$HOME `id` \\n|l1\nl2|é☃!|')
            .on(
                contract.DIGEST,
                lambda _script, stdin: Answer(0, hashlib.sha256(stdin).hexdigest()),
            )
            .on(contract.PING_PONG, Talk(reply=pong))
            .on(contract.DEAF, Answer(5))
            .on(contract.SLOW, Talk(seconds=3))
            .on(contract.TWO_LINES, "one\ntwo")
            .on(contract.NOISE, noise())
            .on(contract.NOT_UTF8, "na�ve")
            .on(same(contract.ECHO), Talk(reply=lambda heard: heard))
        )


def test_scripts_are_remembered_in_order():
    fake = FakeTransport().on("", "x")
    fake.run("first")
    fake.open("second").finish()

    assert fake.scripts == ["first", "second"]


def test_answers_in_turn_and_the_last_one_again_and_again():
    fake = FakeTransport().on("version", "1.0", "1.1")

    assert [fake.run("version").stdout for _ in range(3)] == ["1.0", "1.1", "1.1"]


def test_the_first_pattern_that_fits_answers():
    fake = FakeTransport().on(re.compile("^ls"), "list").on(lambda script: "ls" in script, "other")

    assert (fake.run("ls -l").stdout, fake.run("false").stdout) == ("list", "other")


def test_a_script_nobody_thought_of_is_an_error_of_the_test():
    with pytest.raises(LookupError, match="rm -rf"):
        FakeTransport().run("rm -rf /")


def test_it_can_be_unreachable_and_come_back():
    fake = FakeTransport().on("", "x")
    fake.unreachable = True
    with pytest.raises(Unreachable):
        fake.run("true")
    fake.unreachable = False

    assert fake.run("true").stdout == "x"
    assert fake.scripts == ["true"]


def test_it_can_cut_the_line_while_a_script_is_under_way():
    fake = FakeTransport().on("", "x")
    channel = fake.open("sleep 100")
    fake.cut = True

    with pytest.raises(LineCut):
        channel.receive()
    with pytest.raises(LineCut):
        fake.run("true")
    assert fake.scripts == ["sleep 100", "true"]


def test_an_error_may_be_the_answer():
    with pytest.raises(LineCut):
        FakeTransport().on("dump", LineCut("cut")).run("dump")
