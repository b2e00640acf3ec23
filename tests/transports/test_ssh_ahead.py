"""What is sent before its answer is there never costs more than the time it was to save."""

from __future__ import annotations

import subprocess

import pytest
from tests.transports.odd_server import odd_server
from tests.transports.sshd import Sshd, running

from opsplay.core.errors import Unreachable
from opsplay.transports import ssh_session, ssh_sessions
from opsplay.transports.ssh import SshTransport
from opsplay.transports.ssh_line import LineTransport

pytestmark = pytest.mark.real


def test_a_host_that_numbers_its_sessions_otherwise_is_asked_politely_the_second_time(sshd: Sshd):
    with odd_server() as server:
        known = f"[127.0.0.1]:{server.port} {server.public_key}\n"
        transport = SshTransport(sshd.host(port=server.port, known=known))

        answers = [transport.run("echo").stdout for _ in range(3)]

        assert answers == ["odd\n"] * 3
        assert len(server.commands) == 3, "no command may run twice"
        transport.close()


def test_a_command_sent_to_a_number_nobody_has_is_sent_again(sshd: Sshd):
    with odd_server(slow=0.3) as server:
        known = f"[127.0.0.1]:{server.port} {server.public_key}\n"
        transport = SshTransport(sshd.host(port=server.port, known=known))

        assert transport.run("echo").stdout == "odd\n"
        assert transport.counters.connects == 2
        assert len(server.commands) == 1
        transport.close()


def test_a_command_that_the_host_has_run_is_never_sent_again(sshd: Sshd, monkeypatch):
    # The grant comes between the request and the command, which then goes to the right number.
    start = ssh_session.Session.start

    def late(session: ssh_session.Session, command: bytes) -> None:
        session.answered.wait(10)
        start(session, command)

    monkeypatch.setattr(ssh_session.Session, "start", late)
    with odd_server() as server:
        known = f"[127.0.0.1]:{server.port} {server.public_key}\n"
        transport = SshTransport(sshd.host(port=server.port, known=known))

        assert transport.run("echo").stdout == "odd\n"
        assert len(server.commands) == 1
        transport.close()


def test_a_host_that_denies_every_session_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(ssh_sessions, "_BUSY", 0.3)
    with running(tmp_path, more="MaxSessions 0") as server:
        transport = SshTransport(server.host())

        with pytest.raises(Unreachable, match="no more sessions"):
            transport.run("true")
        transport.close()


def test_a_session_kept_for_later_is_given_back_when_the_host_has_no_other(tmp_path):
    with running(tmp_path, more="MaxSessions 2") as server:
        transport = SshTransport(server.host())
        for _ in range(3):
            transport.run("true")
        held = [transport.open("echo held; cat") for _ in range(2)]

        assert [channel.receive_line() for channel in held] == [b"held\n"] * 2
        transport.close()


def test_a_script_that_was_announced_finds_its_session(sshd: Sshd, monkeypatch):
    transport = SshTransport(sshd.host())
    transport.expect()  # there is no line yet: nothing to ask
    asked: list[object] = []
    ask = LineTransport.ask_for_session

    def noted(line: LineTransport) -> ssh_session.Session:
        asked.append(line)
        return ask(line)

    monkeypatch.setattr(LineTransport, "ask_for_session", noted)
    transport.run("true")
    assert len(asked) == 1

    transport.expect()
    transport.expect()
    assert len(asked) == 2  # one is enough

    assert transport.run("echo found").stdout == "found\n"
    assert len(asked) == 3  # for the script after it
    transport.close()
    transport.expect()
    assert transport.counters.connects == 1


def test_a_host_without_a_shell_says_so(tmp_path):
    with running(tmp_path, more="ForceCommand /bin/false") as server:
        transport = SshTransport(server.host())

        assert transport.run("true").exit_status == 1
        transport.close()


@pytest.mark.parametrize("kind", [("rsa", "-b", "2048"), ("ecdsa",)], ids=["rsa", "ecdsa"])
def test_every_kind_of_key_logs_in(tmp_path, kind):
    with running(tmp_path) as server:
        own = tmp_path / "own"
        subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-f", own], check=True)
        with (tmp_path / "authorized_keys").open("a") as file:
            file.write(own.with_suffix(".pub").read_text())
        (tmp_path / "user_key").write_bytes(own.read_bytes())
        transport = SshTransport(server.host())

        assert transport.run("echo in").stdout == "in\n"
        transport.close()
