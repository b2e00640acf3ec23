"""A cut line is noticed soon, is called by its name, and is opened anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from tests.transports.relay import Relay
from tests.transports.sshd import Sshd

from opsplay.core.errors import LineCut, OpsplayError, Unreachable
from opsplay.transports import ssh_ahead, ssh_line
from opsplay.transports.ssh import SshTransport

pytestmark = pytest.mark.real

SOON = 20.0


@pytest.fixture
def transport(sshd: Sshd, relay: Relay):
    one = SshTransport(sshd.host(port=relay.port))
    yield one
    one.close()


def flood(transport: SshTransport) -> None:
    channel = transport.open("sleep 30")
    try:
        while True:
            channel.send(b"x" * 65536)
    finally:
        channel.close()


CALLS: dict[str, Callable[[SshTransport], object]] = {
    "run": lambda transport: transport.run("sleep 30", timeout=None),
    "receive": lambda transport: transport.open("sleep 30").receive(),
    "receive_line": lambda transport: transport.open("printf half; sleep 30").receive_line(),
    "finish": lambda transport: transport.open("sleep 30").finish(),
    "send": flood,
    "output": lambda transport: transport.run("cat /dev/zero", timeout=None),
}


def outcomes(transport: SshTransport, cut: Callable[[], None]) -> dict[str, OpsplayError]:
    """Cut the line under all calls at once; return what each raised."""
    found: dict[str, OpsplayError] = {}

    def call(name: str) -> None:
        try:
            CALLS[name](transport)
        except OpsplayError as error:
            found[name] = error

    names = ["run", "receive_line", "finish", "send"]
    threads = [threading.Thread(target=call, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    cut()
    for thread in threads:
        thread.join(SOON)
    return found


def test_a_silent_line_is_cut_within_twenty_seconds_for_every_call(transport, relay):
    transport.run("true")
    start = time.monotonic()
    found = outcomes(transport, relay.fall_silent)

    assert time.monotonic() - start < SOON
    assert {name: type(error) for name, error in found.items()} == dict.fromkeys(
        ["run", "receive_line", "finish", "send"], LineCut
    )
    assert "not known" in str(found["run"])
    relay.speak_again()
    assert transport.run("echo back").stdout == "back\n"
    assert transport.counters.connects == 2


def test_a_reset_line_is_cut_at_once_for_every_call(transport, relay):
    transport.run("true")
    start = time.monotonic()
    found = outcomes(transport, relay.reset)

    assert time.monotonic() - start < 5
    assert {type(error) for error in found.values()} == {LineCut}
    assert len(found) == 4
    assert transport.run("echo back").stdout == "back\n"


@pytest.mark.parametrize("call", ["receive", "output"])
def test_other_calls_notice_a_reset_too(transport, relay, call):
    transport.run("true")
    threading.Timer(0.5, relay.reset).start()

    with pytest.raises(LineCut):
        CALLS[call](transport)


def test_a_line_that_died_while_idle_is_opened_anew_without_a_word(transport, relay):
    transport.run("true")
    relay.reset()

    assert transport.run("echo again").stdout == "again\n"
    assert transport.counters.connects == 2


def test_a_line_that_fell_silent_while_idle_is_opened_anew_without_a_word(
    transport, relay, monkeypatch
):
    monkeypatch.setattr(ssh_line, "QUIET", 0.3)
    monkeypatch.setattr(ssh_line, "ANSWER_WITHIN", 1.0)
    transport.run("true")
    relay.fall_silent()
    threading.Timer(0.5, relay.speak_again).start()

    assert transport.run("echo again").stdout == "again\n"
    assert transport.counters.connects == 2


def test_a_quiet_script_on_a_good_line_is_left_alone(transport, monkeypatch):
    # The host answers the questions in between, however long its script says nothing.
    monkeypatch.setattr(ssh_line, "QUIET", 0.3)
    monkeypatch.setattr(ssh_line, "ANSWER_WITHIN", 0.6)

    assert transport.run("sleep 2.5; echo rested").stdout == "rested\n"
    assert transport.counters.connects == 1


def test_a_host_that_falls_silent_before_the_login_is_unreachable(sshd, relay):
    relay.fall_silent()
    transport = SshTransport(sshd.host(port=relay.port, more="Host *\n  ConnectTimeout 2"))
    start = time.monotonic()

    with pytest.raises(Unreachable, match="handshake"):
        transport.run("true")
    assert time.monotonic() - start < SOON
    transport.close()


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_line, "QUIET", 0.3)
    monkeypatch.setattr(ssh_line, "ANSWER_WITHIN", 1.0)


def test_a_line_that_was_quiet_for_a_while_must_answer_before_it_is_given_a_script(
    transport, relay, monkeypatch
):
    hurry(monkeypatch)
    monkeypatch.setattr(ssh_ahead, "FRESH", 0.0)
    for _ in range(3):  # from the second script on, a session is kept
        transport.run("true")
    relay.fall_silent()
    threading.Timer(0.5, relay.speak_again).start()

    assert transport.run("echo again").stdout == "again\n"
    assert transport.counters.connects == 2


def test_a_script_given_to_a_line_that_falls_silent_may_have_run(transport, relay, monkeypatch):
    hurry(monkeypatch)
    for _ in range(3):
        transport.run("true")
    relay.fall_silent()

    with pytest.raises(LineCut):
        transport.run("true")


def test_the_first_script_of_a_line_that_falls_silent_may_have_run(transport, relay, monkeypatch):
    hurry(monkeypatch)
    transport.connect()
    relay.fall_silent()

    with pytest.raises(LineCut):
        transport.run("true")


def test_a_line_reset_before_its_first_script_is_opened_anew_without_a_word(transport, relay):
    transport.connect()
    relay.reset()

    assert transport.run("echo again").stdout == "again\n"
    assert transport.counters.connects == 2
