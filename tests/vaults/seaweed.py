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
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from opsplay.core.vault import VaultSettings
from opsplay.kit.secret import Secret
from opsplay.vaults.recipes import identities
from opsplay.vaults.s3_line import S3Line

ACCESS_KEY = "lab-access"
SECRET_KEY = "canary-s3-secret-7c1f52"


KEPT = "kept-apart"
"""The bucket for which there are two narrow credentials, as `vault.setup` says."""
DAILY = ("lab-daily", "canary-daily-secret-5e20aa")
EXPIRY = ("lab-expiry", "canary-expiry-secret-d41c77")


@dataclass(frozen=True)
class Seaweed:
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, *, endpoint: str = "", recipients=(), identity=None) -> VaultSettings:
        """Return settings with a fresh bucket, which keeps versions and locks."""
        settings = VaultSettings(
            name="lab",
            kind="s3",
            endpoint=self.endpoint,
            bucket=f"b-{secrets.token_hex(4)}",
            access_key=known("env:ACCESS", ACCESS_KEY),
            secret_key=known("env:SECRET", SECRET_KEY),
            recipients=tuple(recipients),
            identity=identity,
        )
        _administrator(self.endpoint).create_bucket(
            Bucket=settings.bucket, ObjectLockEnabledForBucket=True
        )
        return settings

    def kept_apart(self, lock: Literal["none", "governance", "compliance"]) -> VaultSettings:
        """Return settings with the two narrow credentials; the bucket is to be made first."""
        return replace(
            self.settings(),
            bucket=KEPT,
            lock=lock,
            access_key=known("daily key", DAILY[0]),
            secret_key=known("daily secret", DAILY[1]),
            expiry_access_key=known("expiry key", EXPIRY[0]),
            expiry_secret_key=known("expiry secret", EXPIRY[1]),
        )


@cache
def _administrator(endpoint: str) -> Any:
    """Return a client that may do everything; making one takes longer than most tests."""
    keys = {"access_key": known("", ACCESS_KEY), "secret_key": known("", SECRET_KEY)}
    return S3Line(VaultSettings("lab", "s3", endpoint=endpoint, bucket="any", **keys)).client


def known(name: str, value: str) -> Secret:
    """Return a secret whose value is in the test itself."""
    return Secret(name, lambda _reference: value)


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
    (folder / "s3.json").write_text(json.dumps(_identities()))
    command = [
        *(weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *("-master.telemetry=false", "-webdav=false", "-admin.ui=false"),
        # A bucket takes seven volumes; as many as the disk has room for would soon be too few.
        *("-volume.max=10000", "-master.volumeSizeLimitMB=64"),
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


def _identities() -> dict[str, Any]:
    """Return the all-powerful identity, and two as the recipe of `vault.setup` has them."""
    recipe = identities(KEPT)
    for one, (access, secret) in zip(recipe["identities"], (DAILY, EXPIRY), strict=True):
        one["credentials"] = [{"accessKey": access, "secretKey": secret}]
    full = {
        "name": "lab",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return {**recipe, "identities": [full, *recipe["identities"]]}


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
            line.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if line.recv(100).startswith(b"HTTP"):
                return
        time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
