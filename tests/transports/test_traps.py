"""Each trap of Fabric and paramiko that was once measured stays closed.

The rest is told elsewhere: host keys in test_ssh_connect.py, a host that opens no more sessions in
test_ssh_ahead.py and test_ssh_connect.py, threads that share a line in contract.py.
"""

from __future__ import annotations

import ast
import re
import socket
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest
from tests.transports.sshd import Sshd, known_hosts_of, running

from opsplay.core.errors import HostKeyRefused, LoginRefused
from opsplay.transports import known_hosts, ssh_connect, ssh_login
from opsplay.transports.meter import Meter
from opsplay.transports.ssh import SshTransport
from opsplay.transports.ssh_line import WINDOW, LineTransport

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "opsplay"
FABRIC = SOURCE / "transports" / "ssh_connect.py"
SLOW_WAYS = {"put", "get", "sftp", "open_sftp", "from_transport", "run", "sudo", "shell", "local"}
"""Of Fabric's connection and paramiko's client: 6.6 round trips a file, a poll of 10 ms a command."""


@pytest.fixture
def line(sshd: Sshd):
    connected = ssh_connect.connect(sshd.host(), Meter())
    yield connected.transport
    connected.close()


def users_of(library: str) -> set[Path]:
    written = re.compile(rf"^\s*(?:import|from) {library}\b", re.MULTILINE)
    return {path for path in SOURCE.rglob("*.py") if written.search(path.read_text())}


def test_small_packets_leave_at_once(line: LineTransport):
    # Nagle's algorithm and a delayed acknowledgement cost 40 ms a command.
    assert line.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_standard_input_never_goes_through_a_stream_of_invoke():
    # `run(in_stream=…)` sends one character per 10 ms.
    texts = "".join(path.read_text() for path in SOURCE.rglob("*.py"))

    assert not re.search(r"\b(?:in|out|err)_stream=", texts)


def test_fabric_opens_connections_and_does_nothing_else():
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(FABRIC.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("connection", "client", "through", "gateway")
    }

    assert users_of("fabric") == {FABRIC}
    assert not calls & SLOW_WAYS


def test_paramiko_is_spoken_to_in_the_transports_only_and_no_file_protocol_is():
    users = users_of("paramiko")
    texts = [path.read_text() for path in users]

    assert {path.parent for path in users} == {SOURCE / "transports"}
    assert not any("SFTP" + "Client" in text or "open_" + "sftp" in text for text in texts)


def test_no_library_that_holds_the_interpreter_while_it_reads_is_used():
    # ssh2-python did in two of two runs over 100 hosts, and all threads with it.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    wanted = [*project["dependencies"], *(one for extra in extras for one in extra)]

    assert not [one for one in wanted if one.startswith(("ssh2", "ssh-python", "parallel-ssh"))]


def test_a_thousand_connections_made_at_once_share_no_settings(sshd: Sshd):
    # One Config shared by threads failed in 36 of 100 constructions.
    host = sshd.host()
    with ThreadPoolExecutor(32) as threads:
        made = list(threads.map(lambda _: ssh_connect._connection(host, Meter()), range(1000)))

    assert len({id(one.config) for one in made}) == 1000
    assert {one.port for one in made} == {sshd.port}


def test_known_hosts_keys_and_ssh_config_are_read_once_for_all_hosts(sshd: Sshd, monkeypatch):
    # paramiko's reader takes 0.1 s a thousand lines, and a key 2 ms, at each connection.
    host = sshd.host()
    read: list[Path] = []
    lines, from_path = known_hosts._lines, ssh_login.paramiko.PKey.from_path
    monkeypatch.setattr(known_hosts, "_lines", lambda path: (read.append(path), lines(path))[1])
    monkeypatch.setattr(
        ssh_login.paramiko.PKey, "from_path", lambda path: (read.append(path), from_path(path))[1]
    )
    ssh_login._loaded.cache_clear()
    for _ in range(3):
        ssh_connect.connect(host, Meter()).close()

    assert {known_hosts_of(host), sshd.folder / "user_key"} <= set(read)
    assert len(read) == len(set(read))


def test_a_key_file_that_was_replaced_is_read_again(sshd: Sshd, tmp_path: Path):
    host = sshd.host()
    config = Path(host.ssh_config)
    key = tmp_path / "key"
    key.write_bytes((sshd.folder / "host_key").read_bytes())  # a key nobody accepts
    config.write_text(config.read_text().replace(f"{sshd.folder}/user_key", str(key)))
    with pytest.raises(LoginRefused):
        ssh_connect.connect(host, Meter())

    key.write_bytes((sshd.folder / "user_key").read_bytes())

    ssh_connect.connect(host, Meter()).close()


def test_a_dear_key_exchange_is_chosen_only_where_there_is_no_other(
    sshd: Sshd, tmp_path: Path, monkeypatch
):
    # curve25519 costs 2 ms of CPU, a DH group 20 to 80.
    chosen = []

    def note(self) -> None:
        chosen.append(type(self.kex_engine).__name__)
        paramiko.Transport._activate_outbound(self)

    monkeypatch.setattr(LineTransport, "_activate_outbound", note)
    connected = ssh_connect.connect(sshd.host(), Meter())
    offered = connected.transport.get_security_options().kex
    connected.close()
    with running(tmp_path, more="KexAlgorithms diffie-hellman-group14-sha256") as old:
        transport = SshTransport(old.host())
        answer = transport.run("echo old").stdout
        transport.close()

    dear = [name.startswith("diffie") for name in offered]
    assert "25519" in chosen[0]
    assert "Group14" in chosen[1]
    assert dear == sorted(dear)
    assert answer == "old\n"


def test_bulk_data_has_a_cheap_cipher_and_a_wide_window(line: LineTransport):
    session = line.ask_for_session()

    assert "gcm" in line.local_cipher
    assert "gcm" in line.remote_cipher
    assert session.in_window_size == WINDOW >= 8 * 2**20


def test_many_files_travel_in_one_stream(sshd: Sshd, tmp_path: Path):
    # A `put` costs 6.6 round trips a file: 15 s for 100 files at 20 ms.
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for number in range(100):
        (source / f"{number}.txt").write_text(str(number))
    transport = SshTransport(sshd.host())
    sender = transport.open(f"tar -C {source} -cf - .")
    receiver = transport.open(f"tar -C {target} -xf -")
    for piece in iter(sender.receive, b""):
        receiver.send(piece)

    assert (sender.finish().ok, receiver.finish().ok) == (True, True)
    assert len(list(target.iterdir())) == 100
    assert transport.counters.round_trips == 2
    transport.close()


def test_a_key_that_changes_while_we_are_at_work_is_refused(sshd: Sshd, relay, tmp_path: Path):
    transport = SshTransport(sshd.host(port=relay.port))
    transport.run("true")
    with running(tmp_path) as other:
        relay.target = other.port
        relay.reset()

        with pytest.raises(HostKeyRefused, match="somebody stands in between"):
            transport.run("true")
        assert "Accepted" not in (tmp_path / "log").read_text()
    transport.close()


def test_a_key_that_known_hosts_does_not_name_any_more_is_refused(sshd: Sshd):
    host = sshd.host()
    first, second = SshTransport(host), SshTransport(host)
    first.run("true")
    known_hosts_of(host).write_text("# nobody is known any more\n")

    with pytest.raises(HostKeyRefused, match="not known yet"):
        second.run("true")
    first.close()
