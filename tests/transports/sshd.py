"""A real sshd on a free loopback port, with its own keys, for the user that runs the tests."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opsplay.core.environment import Host

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME={folder}/home
{more}
"""


@dataclass(frozen=True)
class Sshd:
    """A running server and the client files that lead to it."""

    folder: Path
    port: int

    @property
    def public_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def host(self, name: str = "box", *, port: int = 0, more: str = "", known: str = "") -> Host:
        """Return a host with an ssh_config of its own, in which the server is known.

        `port` is where the client goes instead (a relay); `more` are options that come first;
        `known` replaces the text of the known_hosts file.
        """
        port = port or self.port
        place = self.folder / "clients" / os.urandom(4).hex()
        place.mkdir(parents=True)
        (place / "known_hosts").write_text(known or f"[127.0.0.1]:{port} {self.public_key}\n")
        (place / "config").write_text(
            f"{more}\n"
            f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n"
            f"Host *\n  User {getpass.getuser()}\n  IdentityFile {self.folder}/user_key\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {place}/known_hosts\n"
            "  GlobalKnownHostsFile /dev/null\n"
        )
        return Host(name, ssh_config=str(place / "config"))


def known_hosts_of(host: Host) -> Path:
    return Path(host.ssh_config).parent / "known_hosts"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(folder: Path, more: str = "") -> Iterator[Sshd]:
    server = Sshd(folder, free_port())
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    (folder / "home").mkdir()
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(port=server.port, folder=folder, more=more))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
    try:
        _wait_for(server.port)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
            if line.recv(4) == b"SSH-":
                return
        time.sleep(0.02)
    raise AssertionError(f"sshd does not answer on port {port}")
