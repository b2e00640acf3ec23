"""A real PostgreSQL server of a test's own: own data, own socket, no network, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from opsplay.kit.clock import SystemClock
from opsplay.lab.packages import apt_install, locked

_numbers = count(1)
_SETTINGS = ("listen_addresses=", "max_connections=60", "shared_buffers=32MB", "jit=off")


@dataclass(frozen=True)
class Server:
    """A server that runs; `folder` holds its data and its socket."""

    folder: Path
    pid: int

    def url(self, database: str) -> str:
        return f"postgresql://opsplay@/{database}?host={self.folder}"

    def database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"journal{next(_numbers)}"
        self.do(f"CREATE DATABASE {name}")
        return self.url(name)

    def emptied(self) -> str:
        """Empty the one database of those who leave nobody behind; return its URL. Far quicker."""
        if not self.do("SELECT 1 FROM pg_database WHERE datname = 'emptied'"):
            self.do("CREATE DATABASE emptied")
        self.do("DROP SCHEMA IF EXISTS opsplay, opsplay_queue CASCADE", "emptied")
        return self.url("emptied")

    def do(self, statement: str, database: str = "postgres") -> list[tuple]:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres() -> Iterator[Server]:
    """Start a server, and stop it. Root lends it to a user without rights: it refuses root."""
    programs = _programs()
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="opsplay-pg-", dir=memory if memory.is_dir() else None))
    # Should this process be killed, the server goes with it.
    as_user = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user += [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    data = folder / "data"
    init = [
        programs / "initdb",
        "-D",
        data,
        "-A",
        "trust",
        "-U",
        "opsplay",
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run([*as_user, *init, "--locale=C"], cwd=folder, check=True, capture_output=True)
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*as_user, programs / "postgres", "-D", data, "-k", folder, *settings],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait(folder, process)
        yield Server(folder, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(folder)


def _programs() -> Path:
    with locked(Path(tempfile.gettempdir()) / f"opsplay-postgresql-{os.geteuid()}.lock"):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            apt_install("postgresql")
            found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    for _ in range(300):
        try:
            psycopg.connect(f"postgresql://opsplay@/postgres?host={folder}").close()
        except psycopg.OperationalError:
            assert process.poll() is None, (folder / "log").read_text()
            SystemClock().sleep(0.1)
        else:
            return
    raise AssertionError((folder / "log").read_text())
