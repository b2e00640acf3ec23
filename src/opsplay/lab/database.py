"""MariaDB: one server, one database and one user for each environment."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from opsplay.lab.commands import run
from opsplay.lab.listening import answers, answers_on_socket
from opsplay.lab.places import LabEnvironment, Places
from opsplay.lab.processes import Daemon

_ODD = "'\"$x `\\#;%"
"""Ends every password: what careless quoting gets wrong."""


def build(places: Places) -> None:
    """Make the server's data directory and each environment's password."""
    data = places.database / "data"
    if not (data / "mysql").exists():
        shutil.rmtree(data, ignore_errors=True)
        options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        work = places.directory / "tmp"
        work.mkdir(exist_ok=True)
        own = [f"--datadir={data}", f"--tmpdir={work}"]
        run("mariadb-install-db", *options, *as_root, *own)
    for environment in places.environments():
        file = password_file(places, environment)
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(f"canary-{secrets.token_hex(8)}{_ODD}")


def daemon(places: Places) -> Daemon:
    """Return the server: it survives kill -9, not a power cut, and never waits for the disk."""
    own = places.database
    words = [
        shutil.which("mariadbd", path=f"/usr/sbin:{os.environ['PATH']}") or "/usr/sbin/mariadbd",
        "--no-defaults",
        f"--datadir={own / 'data'}",
        f"--tmpdir={places.directory / 'tmp'}",
        f"--socket={_socket(places)}",
        f"--pid-file={own / 'mariadbd.pid'}",
        "--bind-address=127.0.0.1",
        f"--port={places.port('database')}",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=32M",
        "--innodb-log-file-size=16M",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-flush-method=nosync",
        "--performance-schema=OFF",
        "--character-set-server=utf8mb4",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]
    return Daemon("database", tuple(words), lambda: _ready(places))


def admit(places: Places) -> None:
    """Make databases and users where they are missing, and lock every other account out."""
    statements = [
        "DELETE FROM mysql.global_priv WHERE Host <> 'localhost' AND User IN ('root', '')"
    ]
    statements.append("FLUSH PRIVILEGES")
    for one in places.environments():
        name, secret = one.database, quoted(password(places, one))
        statements += [
            f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4",
            f"CREATE USER IF NOT EXISTS '{name}'@'127.0.0.1' IDENTIFIED BY {secret}",
            f"GRANT ALL ON `{name}`.* TO '{name}'@'127.0.0.1'",
        ]
    execute(places, ";\n".join(statements))


def empty(places: Places, environment: LabEnvironment) -> None:
    """Drop and create again the environment's database."""
    name = environment.database
    execute(
        places, f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4"
    )


def load(places: Places, environment: LabEnvironment, dump: bytes) -> None:
    """Run a dump in the environment's database."""
    run(*_client(places), environment.database, feed=dump)


def dump(places: Places, environment: LabEnvironment) -> bytes:
    """Return a dump of the environment's database."""
    options = ["--no-defaults", f"--socket={_socket(places)}", "--user=root", "--skip-dump-date"]
    return run("mariadb-dump", *options, environment.database)


def execute(places: Places, statements: str, database: str = "") -> tuple[tuple[str, ...], ...]:
    """Return the rows that the statements gave, as texts (`NULL` for null)."""
    answer = run(*_client(places), *([database] if database else []), feed=statements.encode())
    return tuple(tuple(line.split("\t")) for line in answer.decode().splitlines())


def password(places: Places, environment: LabEnvironment) -> str:
    """Return the password of the environment's database user."""
    return password_file(places, environment).read_text()


def password_file(places: Places, environment: LabEnvironment) -> Path:
    """Return the file that holds the password (mode 600)."""
    return places.secrets / f"database-{environment.key}"


def quoted(text: str) -> str:
    r"""Return a text as an SQL (and PHP) literal in single quotes.

    >>> print(quoted("it's a \\"))
    'it\'s a \\'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _client(places: Places) -> list[str]:
    options = ["--no-defaults", f"--socket={_socket(places)}", "--user=root"]
    return ["mariadb", *options, "--default-character-set=utf8mb4", "-N", "-B"]


def _socket(places: Places) -> Path:
    return places.database / "mysqld.sock"


def _ready(places: Places) -> bool:
    return answers_on_socket(_socket(places)) and answers(places.port("database"))
