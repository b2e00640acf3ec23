"""Starts Ceph's S3 server (radosgw) with one monitor, one manager and one disk in memory.

The second S3 implementation that the vault is tried on; many European hosters sell it. It comes
from Debian's packages `radosgw ceph-mon ceph-mgr ceph-osd`; where they are missing, tests say so
and are skipped. Everything listens on the loopback, nobody is asked who he is but by radosgw.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.vaults.seaweed import free_ports

from opsplay.core.vault import VaultSettings
from opsplay.kit.secret import Secret
from opsplay.vaults.s3 import S3Vault

PROGRAMS = ("monmaptool", "ceph", "ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "radosgw-admin")
ACCESS_KEY, SECRET_KEY = "ceph-access", "canary-ceph-secret-91b0c4"

_SETTINGS = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{mon_old}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
log file = {folder}/$name.log
admin socket = {folder}/$name.asok
keyring = {folder}/keyring
mon data = {folder}/mon
mgr data = {folder}/mgr
osd data = {folder}/osd
crash dir = {folder}
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
ms bind ipv6 = false
ms mon client mode = crc
rgw frontends = beast endpoint=127.0.0.1:{s3}
rgw enable usage log = false
rgw run sync thread = false
rgw lc debug interval = -1
"""


def missing() -> list[str]:
    """Return the programs that are not installed here."""
    return [name for name in PROGRAMS if not shutil.which(name)]


@dataclass(frozen=True)
class Ceph:
    port: int
    conf: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> VaultSettings:
        """Return settings with a fresh bucket, which keeps versions and locks."""
        settings = VaultSettings(
            name="ceph",
            kind="s3",
            endpoint=self.endpoint,
            bucket=f"b-{secrets.token_hex(4)}",
            access_key=Secret("env:ACCESS", lambda _reference: access_key),
            secret_key=Secret("env:SECRET", lambda _reference: secret_key),
        )
        client = S3Vault(settings)._client
        client.create_bucket(Bucket=settings.bucket, ObjectLockEnabledForBucket=True)
        return settings

    def add_user(self, name: str, access_key: str, secret_key: str) -> None:
        """Make a user, as the administrator of a Ceph would."""
        words = ("user", "create", f"--uid={name}", f"--display-name={name}")
        _run(
            self.conf,
            "radosgw-admin",
            *words,
            f"--access-key={access_key}",
            f"--secret={secret_key}",
        )


@contextmanager
def running(folder: Path) -> Iterator[Ceph]:
    conf, port = _configured(folder)
    with ExitStack() as daemons:
        _start_monitor(conf, daemons)
        _start_disk(conf, daemons)
        _start(conf, daemons, "radosgw", "-n", "client.rgw")
        _wait(lambda: _answers(port), folder)
        ceph = Ceph(port, conf)
        ceph.add_user("lab", ACCESS_KEY, SECRET_KEY)
        yield ceph


def _configured(folder: Path) -> tuple[Path, int]:
    conf = folder / "ceph.conf"
    mon, mon_old, s3 = free_ports(3)
    conf.write_text(
        _SETTINGS.format(fsid=uuid.uuid4(), mon=mon, mon_old=mon_old, s3=s3, folder=folder)
    )
    (folder / "keyring").touch()
    for name in ("mon", "mgr", "osd"):
        (folder / name).mkdir()
    addresses = f"[v2:127.0.0.1:{mon},v1:127.0.0.1:{mon_old}]"
    fsid = next(line for line in conf.read_text().splitlines() if line.startswith("fsid"))
    words = ("--create", "--fsid", fsid.split()[-1], "--addv", "a", addresses)
    _run(conf, "monmaptool", *words, str(folder / "monmap"))
    return conf, s3


def _start_monitor(conf: Path, daemons: ExitStack) -> None:
    _run(conf, "ceph-mon", "--mkfs", "-i", "a", "--monmap", str(conf.parent / "monmap"))
    _start(conf, daemons, "ceph-mon", "-i", "a")
    _wait(lambda: bool(_run(conf, "ceph", "--connect-timeout=5", "fsid")), conf.parent)
    _start(conf, daemons, "ceph-mgr", "-i", "a")


def _start_disk(conf: Path, daemons: ExitStack) -> None:
    identity = str(uuid.uuid4())
    _run(conf, "ceph", "osd", "new", identity)
    _run(conf, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
    _start(conf, daemons, "ceph-osd", "-i", "0")
    _wait(lambda: '"num_up_osds":1' in _run(conf, "ceph", "osd", "stat", "-f", "json"), conf.parent)


def _run(conf: Path, program: str, *words: str) -> str:
    done = subprocess.run(
        [program, "-c", str(conf), *words], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{program} {words[0]}: {done.stderr[-2000:]}")
    return done.stdout


def _start(conf: Path, daemons: ExitStack, program: str, *words: str) -> None:
    with (conf.parent / f"{program}.out").open("wb") as out:
        command = [program, "-f", "-c", str(conf), *words]
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=conf.parent)
    daemons.callback(process.wait)
    daemons.callback(process.kill)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return line.recv(100).startswith(b"HTTP")
    return False


def _wait(ready, folder: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if ready():
            return
        time.sleep(0.1)
    outs = "\n".join(file.read_text()[-1000:] for file in folder.glob("*.out"))
    raise RuntimeError(f"Ceph did not start:\n{outs}")
