"""Whom SSH lets in, whom it refuses, and how it says so."""

from __future__ import annotations

import base64
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.transports.relay import relay_to
from tests.transports.sshd import Sshd, free_port, known_hosts_of, running

from opsplay.core.environment import Host
from opsplay.core.errors import (
    HostKeyRefused,
    InvalidInput,
    LoginRefused,
    OpsplayError,
    Unreachable,
)
from opsplay.transports import ssh_sessions
from opsplay.transports.known_hosts import fingerprint
from opsplay.transports.ssh import SshTransport, accept_host_key
from opsplay.transports.ssh_connect import _parse_hop

pytestmark = pytest.mark.real

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def answer_of(host: Host) -> str:
    transport = SshTransport(host)
    try:
        return transport.run("echo in").stdout.strip()
    finally:
        transport.close()


def refusal_of(host: Host) -> OpsplayError:
    with pytest.raises(Unreachable) as caught:
        answer_of(host)
    return caught.value


def shown(sshd: Sshd) -> str:
    listing = subprocess.run(
        ["ssh-keygen", "-lf", sshd.folder / "host_key.pub"], capture_output=True, check=True
    )
    return listing.stdout.decode().split()[1]


def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_way_to_accept_it(sshd):
    error = refusal_of(sshd.host("shop", known="# nobody\n"))

    assert isinstance(error, HostKeyRefused)
    assert shown(sshd) in str(error)
    assert error.next_command == "invoke hosts.accept shop"


def test_a_changed_key_is_refused_and_never_accepted_by_name_alone(sshd):
    host = sshd.host("shop", known=f"[127.0.0.1]:{sshd.port} {OTHER_KEY}\n")

    error = refusal_of(host)

    assert isinstance(error, HostKeyRefused)
    assert "somebody stands in between" in str(error)
    assert error.next_command == f"invoke hosts.accept shop --fingerprint {shown(sshd)}"
    with pytest.raises(HostKeyRefused):
        accept_host_key(host)
    assert OTHER_KEY in known_hosts_of(host).read_text()


def test_a_changed_key_replaces_the_old_one_when_its_fingerprint_is_given(sshd):
    known = f"# mine\n[127.0.0.1]:{sshd.port} {OTHER_KEY}\nother.example {OTHER_KEY}\n"
    host = sshd.host("shop", known=known)

    accept_host_key(host, shown(sshd))

    assert answer_of(host) == "in"
    lines = known_hosts_of(host).read_text().splitlines()
    assert lines[:2] == ["# mine", f"other.example {OTHER_KEY}"]
    assert len(lines) == 3


def test_an_unknown_key_is_accepted_by_name(sshd):
    host = sshd.host("shop", known="# nobody\n")

    said = accept_host_key(host)

    assert shown(sshd) in said
    assert answer_of(host) == "in"
    assert "already" in accept_host_key(host)


def test_a_key_with_another_fingerprint_than_expected_is_not_accepted(sshd):
    host = sshd.host("shop", known="# nobody\n")

    with pytest.raises(HostKeyRefused):
        accept_host_key(host, "SHA256:somethingelse")
    assert known_hosts_of(host).read_text() == "# nobody\n"


def test_a_key_known_otherwise_in_a_file_of_somebody_else_is_not_accepted(sshd, tmp_path):
    (tmp_path / "everybody").write_text(f"[127.0.0.1]:{sshd.port} {OTHER_KEY}\n")
    more = f"GlobalKnownHostsFile {tmp_path}/everybody"
    host = sshd.host("shop", known="# nobody\n", more=more)

    with pytest.raises(HostKeyRefused, match="everybody"):
        accept_host_key(host, shown(sshd))


def test_a_revoked_key_is_refused_even_if_it_is_known(sshd):
    name = f"[127.0.0.1]:{sshd.port}"
    host = sshd.host(known=f"{name} {sshd.public_key}\n@revoked * {sshd.public_key}\n")

    assert "revoked" in str(refusal_of(host))
    with pytest.raises(HostKeyRefused, match="revoked"):
        accept_host_key(host, shown(sshd))


def test_hashed_names_are_understood(sshd):
    host = sshd.host()
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", known_hosts_of(host)], check=True, capture_output=True
    )

    assert "127.0.0.1" not in known_hosts_of(host).read_text()
    assert answer_of(host) == "in"


def test_an_alias_and_the_global_file_are_honoured(sshd, tmp_path):
    (tmp_path / "everybody").write_text(f"front.example {sshd.public_key}\n")
    more = f"Host shop\n  HostKeyAlias front.example\n  GlobalKnownHostsFile {tmp_path}/everybody"

    assert answer_of(sshd.host("shop", known="# nobody\n", more=more)) == "in"


def test_the_known_kind_of_key_is_asked_for_when_the_host_has_several(tmp_path):
    (tmp_path / "server").mkdir()
    rsa = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa], check=True)
    with running(tmp_path / "server", more=f"HostKey {rsa}") as server:
        key = " ".join(Path(f"{rsa}.pub").read_text().split()[:2])
        known = f"[127.0.0.1]:{server.port} {key}\n"

        assert answer_of(server.host(known=known)) == "in"


def test_a_key_the_host_does_not_accept_is_a_refused_login(sshd, tmp_path):
    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    host = sshd.host()
    config = Path(host.ssh_config)
    config.write_text(config.read_text().replace(f"{sshd.folder}/user_key", str(stranger)))

    error = refusal_of(host)

    assert isinstance(error, LoginRefused)
    assert "may not log in (1 key tried)" in str(error)
    assert error.next_command == f"ssh -v -F {host.ssh_config} box true"


def test_no_key_at_all_is_a_refused_login(sshd, tmp_path):
    host = sshd.host()
    config = Path(host.ssh_config)
    config.write_text(config.read_text().replace(f"{sshd.folder}/user_key", f"{tmp_path}/none"))

    assert "no key was found" in str(refusal_of(host))


def test_a_key_with_a_passphrase_comes_from_the_agent(sshd, tmp_path, monkeypatch):
    locked = tmp_path / "locked"
    locked.write_bytes((sshd.folder / "user_key").read_bytes())
    locked.chmod(0o600)
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL
    )
    try:
        while not (tmp_path / "agent").exists():
            assert agent.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        subprocess.run(["ssh-add", "-q", locked], check=True)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", locked], check=True)
        (tmp_path / "locked.pub").write_bytes((sshd.folder / "user_key.pub").read_bytes())
        host = sshd.host()
        config = Path(host.ssh_config)
        config.write_text(config.read_text().replace(f"{sshd.folder}/user_key", str(locked)))

        assert answer_of(host) == "in"
    finally:
        agent.terminate()
        agent.wait()


def test_a_name_nobody_has_is_said_plainly():
    error = refusal_of(Host("no-such-host.invalid"))

    assert "there is no host named no-such-host.invalid" in str(error)
    assert error.next_command == "ssh -v no-such-host.invalid true"


def test_a_closed_port_is_said_plainly(sshd):
    port = free_port()

    error = refusal_of(sshd.host(port=port))

    assert f"nothing accepts SSH connections on 127.0.0.1 port {port}" in str(error)
    assert "nothing was done" in str(error)


def test_something_that_is_no_ssh_server_is_unreachable(sshd, tmp_path):
    web = subprocess.Popen(
        ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(port := free_port())],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)

        assert "did not complete the SSH handshake" in str(refusal_of(sshd.host(port=port)))
    finally:
        web.terminate()
        web.wait()


def test_an_ssh_config_that_does_not_exist_is_an_error_of_the_inventory():
    with pytest.raises(InvalidInput, match="does not exist"):
        answer_of(Host("box", ssh_config="/nowhere/config"))


@pytest.fixture(scope="module")
def inner(tmp_path_factory):
    with running(tmp_path_factory.mktemp("inner")) as server:
        yield server


def chain(sshd: Sshd, inner: Sshd, relay_port: int, *, inner_known: bool = True) -> Host:
    host = inner.host("inner")
    place = Path(host.ssh_config)
    gate = sshd.host("gate", port=relay_port)
    inside = place.read_text().replace("Host inner\n", "Host inner\n  ProxyJump gate\n")
    place.write_text(Path(gate.ssh_config).read_text().split("Host *")[0] + inside)
    keys = place.read_text().replace(
        f"IdentityFile {inner.folder}/user_key",
        f"IdentityFile {inner.folder}/user_key\n  IdentityFile {sshd.folder}/user_key",
    )
    place.write_text(keys)
    known = known_hosts_of(host)
    lines = known.read_text() if inner_known else ""
    known.write_text(lines + known_hosts_of(gate).read_text())
    return host


def test_a_jump_host_is_gone_through(sshd, inner):
    with relay_to(sshd.port) as relay:
        host = chain(sshd, inner, relay.port)

        assert answer_of(host) == "in"
        assert relay.connections == 1


def test_the_key_behind_a_jump_host_is_checked_too(sshd, inner):
    host = chain(sshd, inner, sshd.port, inner_known=False)

    error = refusal_of(host)

    assert isinstance(error, HostKeyRefused)
    assert error.next_command == "invoke hosts.accept inner"
    assert shown(inner) in accept_host_key(host)
    assert answer_of(host) == "in"


def test_the_key_of_a_jump_host_is_checked(sshd, inner):
    host = chain(sshd, inner, sshd.port)
    text = known_hosts_of(host).read_text()
    known_hosts_of(host).write_text(text.replace(sshd.public_key, OTHER_KEY))

    error = refusal_of(host)

    assert isinstance(error, HostKeyRefused)
    assert "gate" in error.next_command


def test_a_jump_host_that_cannot_go_on_is_said_plainly(sshd, inner):
    host = chain(sshd, inner, sshd.port)
    config = Path(host.ssh_config)
    closed = free_port()
    config.write_text(config.read_text().replace(f"Port {inner.port}", f"Port {closed}"))

    assert "the jump host cannot reach 127.0.0.1" in str(refusal_of(host))


def test_jump_hosts_in_a_circle_are_an_error_of_the_inventory(sshd):
    more = "Host a\n  ProxyJump b\nHost b\n  ProxyJump c\nHost c\n  ProxyJump b"

    with pytest.raises(InvalidInput, match="circles"):
        answer_of(sshd.host("a", more=more))


def test_a_jump_host_that_all_go_through_is_reached_directly(sshd):
    assert answer_of(sshd.host("box", more="Host *\n  ProxyJump box")) == "in"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("gate", Host("gate")),
        ("me@gate:2222", Host("gate", "me", 2222)),
        ("ssh://me@gate:2222", Host("gate", "me", 2222)),
        ("[2001:db8::1]:2222", Host("2001:db8::1", "", 2222)),
        ("2001:db8::1", Host("2001:db8::1")),
    ],
)
def test_jump_hosts_are_written_as_for_ssh(written, meant):
    assert _parse_hop(written, Host("box")) == meant


def test_a_busy_host_is_asked_for_a_session_again(tmp_path, monkeypatch):
    with running(tmp_path, more="MaxSessions 1") as server:
        transport = SshTransport(server.host())
        held = transport.open("sleep 0.5; echo first")
        second = transport.run("echo second")
        assert (held.finish().stdout, second.stdout) == ("first\n", "second\n")

        monkeypatch.setattr(ssh_sessions, "_BUSY", 0.3)
        held = transport.open("sleep 5")
        with pytest.raises(Unreachable, match="no more sessions"):
            transport.run("true")
        held.close()
        transport.close()


def test_streams_wait_for_their_turn_and_short_scripts_go_on(sshd):
    transport = SshTransport(sshd.host())
    first, *others = [transport.open("sleep 5") for _ in range(ssh_sessions.STREAMS)]
    opened = []
    third = threading.Thread(target=lambda: opened.append(transport.open("echo turn")))

    third.start()
    time.sleep(0.3)
    assert opened == []
    assert transport.run("echo short").stdout == "short\n"
    first.close()
    third.join(10)

    assert opened[0].finish().stdout == "turn\n"
    for channel in others:
        channel.close()
    transport.close()


def test_a_proxy_command_is_honoured(sshd):
    more = f"Host box\n  ProxyCommand ssh -q -F {{config}} -W 127.0.0.1:{sshd.port} plain"
    plain = sshd.host("plain")

    host = sshd.host(more=more.format(config=plain.ssh_config))

    assert answer_of(host) == "in"


def test_fingerprints_are_those_of_ssh_keygen(sshd):
    assert fingerprint(base64.b64decode(sshd.public_key.split()[1])) == shown(sshd)
