"""A real little MariaDB server on a socket, for the backup tests."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Database:
    socket: Path

    def sql(self, text: str, database: str = "") -> str:
        words = ["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B"]
        words += ["--default-character-set=utf8mb4", *([database] if database else [])]
        done = subprocess.run(words, input=text.encode(), capture_output=True, check=False)
        assert not done.returncode, done.stderr.decode()
        return done.stdout.decode()

    def checksums(self, database: str) -> str:
        """Return the CHECKSUM TABLE of every table, and how many rows each has."""
        tables = self.sql("SHOW TABLES", database).split()
        one = "CHECKSUM TABLE `{0}`; SELECT COUNT(*) FROM `{0}`;"
        answer = self.sql("".join(one.format(table) for table in tables), database)
        return answer.replace(f"{database}.", "")


@contextmanager
def running(folder: Path) -> Iterator[Database]:
    data, socket = folder / "data", folder / "db.sock"
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    install = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal"]
    install += ["--skip-test-db", f"--datadir={data}", *as_root]
    subprocess.run(install, check=True, capture_output=True)
    server = ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}"]
    server += ["--skip-networking", "--innodb-buffer-pool-size=32M", *as_root]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(server, stdout=log, stderr=log)
    try:
        _wait(socket, process)
        yield Database(socket)
    finally:
        process.terminate()
        process.wait(30)


def _wait(socket: Path, process: subprocess.Popen[bytes]) -> None:
    ping = ["mariadb-admin", "--no-defaults", f"--socket={socket}", "-uroot", "ping"]
    for _ in range(300):
        if not subprocess.run(ping, capture_output=True, check=False).returncode:
            return
        assert process.poll() is None, "MariaDB ended early"
        time.sleep(0.1)
    raise RuntimeError("MariaDB did not start")
