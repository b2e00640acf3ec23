"""Starts SeaweedFS, the S3 server of the tests, on free ports of the loopback."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from opsplay.core.vault import VaultSettings
from opsplay.kit.secret import Secret
from opsplay.vaults.s3 import S3Vault

ACCESS_KEY = "lab-access"
SECRET_KEY = "canary-s3-secret-7c1f52"


@dataclass(frozen=True)
class Seaweed:
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, *, endpoint: str = "", recipients=(), identity=None) -> VaultSettings:
        """Return settings with a fresh bucket."""
        settings = VaultSettings(
            name="lab",
            kind="s3",
            endpoint=self.endpoint,
            bucket=f"b-{secrets.token_hex(4)}",
            access_key=Secret("env:ACCESS", lambda _reference: ACCESS_KEY),
            secret_key=Secret("env:SECRET", lambda _reference: SECRET_KEY),
            recipients=tuple(recipients),
            identity=identity,
        )
        S3Vault(settings)._client.create_bucket(Bucket=settings.bucket)
        return settings


def free_ports(count: int) -> list[int]:
    """Return free ports whose neighbours 10 000 above are free too (gRPC uses those)."""
    found: list[int] = []
    while len(found) < count:
        port = 20000 + secrets.randbelow(12000)
        if port not in found and _free(port) and _free(port + 10000):
            found.append(port)
    return found


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


@contextmanager
def running(folder: Path) -> Iterator[Seaweed]:
    weed = shutil.which("weed") or str(Path(sys.executable).with_name("weed"))
    names = ("master", "volume", "filer", "s3", "admin")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    (folder / "s3.json").write_text(json.dumps(_IDENTITIES))
    command = [
        *(weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *("-master.telemetry=false", "-webdav=false", "-admin.ui=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder}/s3.json"),
        *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(ports["s3"], process, folder / "log")
        yield Seaweed(ports["s3"])
    finally:
        process.kill()  # ending politely takes it ten seconds
        process.wait()


_IDENTITIES = {
    "identities": [
        {
            "name": "lab",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
            line.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if line.recv(100).startswith(b"HTTP"):
                return
        time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
