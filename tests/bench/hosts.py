"""Real sshd on loopback: a hundred hosts, each an address with a home directory of its own.

127.7.1.N is host N; 127.7.2.N is the same host behind a slow line. One sshd serves sixteen.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import job
from tests.bench.accounts import Books, Group, Tree, end

EACH = 16
"""Addresses that one sshd serves."""
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Host:
    """One host, near or behind the slow line."""

    name: str
    address: str
    root: Path


@dataclass(frozen=True)
class Fleet:
    """All hosts, and how to log in there."""

    place: Path
    port: int
    hosts: tuple[Host, ...]
    account: Group | Tree
    listeners: frozenset[int]

    @property
    def user(self) -> str:
        """Return the login name, which is our own."""
        return pwd.getpwuid(os.geteuid()).pw_name

    @property
    def key(self) -> Path:
        """Return the private key that is let in."""
        return self.place / "ssh/id"

    @property
    def known_hosts(self) -> Path:
        """Return the file in which every host's key is."""
        return self.place / "ssh/known_hosts"

    @property
    def ssh_config(self) -> Path:
        """Return the ssh_config with which every tool logs in."""
        return self.place / "ssh/config"

    def first(self, count: int, *, far: bool) -> tuple[Host, ...]:
        """Return some hosts, far ones by the addresses that the slow line has."""
        if not far:
            return self.hosts[:count]
        return tuple(
            Host(host.name, host.address.replace("127.7.1.", "127.7.2."), host.root)
            for host in self.hosts[:count]
        )

    def settle(self, patience: float = 10.0) -> None:
        """Wait until nothing runs on the hosts any more but those who listen."""
        ends = time.monotonic() + patience
        while set(self.account.pids()) - self.listeners:
            if time.monotonic() > ends:
                end(sorted(set(self.account.pids()) - self.listeners))
            time.sleep(0.01)


@contextlib.contextmanager
def running(place: Path, count: int, books: Books) -> Iterator[Fleet]:
    """Start the hosts, and end them afterwards with all that runs there."""
    account = books.open("hosts")
    ssh = place / "ssh"
    ssh.mkdir(mode=0o700, parents=True)
    port = _free_port()
    hosts = tuple(
        Host(f"h{number:03}", f"127.7.1.{number}", place / f"hosts/h{number:03}/shop")
        for number in range(1, count + 1)
    )
    _write_keys(ssh, hosts, port)
    started = [
        _start(ssh, number, hosts[first : first + EACH], port, account)
        for number, first in enumerate(range(0, count, EACH))
    ]
    try:
        _await_all(hosts, port, started, ssh)
        yield Fleet(place, port, hosts, account, frozenset(one.pid for one in started))
    finally:
        books.close("hosts")
        for one in started:
            one.wait()


@contextlib.contextmanager
def slow_line(fleet: Fleet, rtt: float, books: Books) -> Iterator[Group | Tree]:
    """Put a line with this round trip, in seconds, before the hosts' second addresses."""
    account = books.open("line")
    pairs = [
        f"{far.address}={near.address}"
        for far, near in zip(fleet.first(EACH, far=True), fleet.hosts, strict=False)
    ]
    words = [sys.executable, "-m", "tests.bench.relay", str(fleet.port), str(rtt), *pairs]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        preexec_fn=entering(account),  # noqa: PLW1509 - no threads
    ) as relay:
        account.joined(relay.pid)
        try:
            assert relay.stdout is not None
            if relay.stdout.readline() != b"ready\n":
                raise RuntimeError("the slow line did not start")
            yield account
        finally:
            books.close("line")


def entering(account: Group | Tree) -> Callable[[], None]:
    """Return what a child does before it becomes another program: enter, and die with us."""
    libc = ctypes.CDLL(None)

    def enter() -> None:
        os.setsid()
        account.enter()
        libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: were we killed, nothing would stay

    return enter


def _free_port() -> int:
    with socket.create_server(("127.7.1.1", 0)) as one:
        return int(one.getsockname()[1])


def _write_keys(ssh: Path, hosts: tuple[Host, ...], port: int) -> None:
    for name in ("id", "host_key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(ssh / name)]
        subprocess.run(words, check=True)
    shutil.copy(ssh / "id.pub", ssh / "authorized_keys")
    kind, key = (ssh / "host_key.pub").read_text().split()[:2]
    addresses = [
        address
        for host in hosts
        for address in (host.address, host.address.replace("127.7.1.", "127.7.2."))
    ]
    lines = [f"[{address}]:{port} {kind} {key}\n" for address in addresses]
    (ssh / "known_hosts").write_text("".join(lines))
    (ssh / "config").write_text(f"""Host 127.7.*
  User {pwd.getpwuid(os.geteuid()).pw_name}
  Port {port}
  IdentityFile {ssh / "id"}
  IdentitiesOnly yes
  UserKnownHostsFile {ssh / "known_hosts"}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
""")


def _start(
    ssh: Path, number: int, hosts: tuple[Host, ...], port: int, account: Group | Tree
) -> subprocess.Popen[bytes]:
    config = ssh / f"sshd{number}"
    config.write_text(_sshd_config(ssh, hosts, port))
    for host in hosts:
        job.make_fresh(host.root)
    if os.geteuid() == 0:  # Debian's sshd wants it, and nothing makes it where no systemd runs
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshd = shutil.which("sshd", path=PATH) or "/usr/sbin/sshd"
    with config.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=entering(account),  # noqa: PLW1509 - no threads run now
        )  # fmt: skip
    account.joined(process.pid)
    return process


def _sshd_config(ssh: Path, hosts: tuple[Host, ...], port: int) -> str:
    listen = "".join(f"ListenAddress {host.address}:{port}\n" for host in hosts)
    # The account's own start-up files would cost every tool the same, and drown the differences.
    homes = "".join(
        f'Match LocalAddress {host.address}\n  SetEnv "HOME={host.root.parent}" "PATH={PATH}"'
        f' "LANG=C.UTF-8"\n'
        for host in hosts
    )
    return f"""{listen}HostKey {ssh / "host_key"}
AuthorizedKeysFile {ssh / "authorized_keys"}
PidFile none
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxSessions 10
MaxStartups 200
Subsystem sftp internal-sftp
{homes}"""


def _await_all(
    hosts: tuple[Host, ...], port: int, started: list[subprocess.Popen[bytes]], ssh: Path
) -> None:
    ends = time.monotonic() + 30
    for host in hosts:
        while not _greets(host.address, port):
            if time.monotonic() > ends or any(one.poll() is not None for one in started):
                said = "".join(log.read_text("utf-8", "replace") for log in ssh.glob("*.log"))
                raise RuntimeError(f"sshd of {host.address} does not answer: {said[-1500:]}")
            time.sleep(0.05)


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2) as line:
            return line.recv(4) == b"SSH-"
    except OSError:
        return False
