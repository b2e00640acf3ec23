"""The servers of a scratch environment: MariaDB on a socket, php-fpm without a network, nginx."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from opsplay.core.errors import LabBroken
from opsplay.lab import database as lab_database
from opsplay.lab import scratch_walls as walls
from opsplay.lab.commands import run
from opsplay.lab.listening import answers, answers_on_socket, free
from opsplay.lab.processes import Daemon, Processes
from opsplay.lab.web import fpm_program

SOCKET = "db/mysqld.sock"
_PORTS = range(23000, 30000)
"""Between the ports of labs and those that the kernel gives to outgoing connections."""
_TRIES = 20
_PROGRAMS = {
    "mariadbd": "mariadb-server",
    "mariadb": "mariadb-client",
    "nginx": "nginx",
    "php": "php-cli php-mysql",
    "zstd": "zstd",
}


def insist_on_programs() -> None:
    """Raise LabBroken with the packages to install where this machine lacks a server."""
    lacking = [
        package for name, package in _PROGRAMS.items() if not shutil.which(name, path=walls.PATH)
    ]
    if not list(Path("/usr/sbin").glob("php-fpm*")):
        lacking.append("php-fpm")
    if lacking:
        raise LabBroken(
            f"a scratch environment on this machine needs {', '.join(lacking)}",
            state="nothing was restored",
            next_command=f"apt-get install -y {' '.join(lacking)}"
            " (or give the site an environment `drill` on a host of yours)",
        )


def start(directory: Path, root: Path, password: str) -> int:
    """Start all three, with an empty database `scratch`; return the web server's port.

    Raises LabBroken.
    """
    for name in ("db", "web", "logs", "tmp"):
        (directory / name).mkdir(mode=0o700)
    _install(directory)
    (directory / "web" / "php-fpm.conf").write_text(_fpm(directory))
    Processes(directory).start([_database(directory), _php(directory)])
    _admit(directory, password)
    return _listening(directory, root)


def _listening(directory: Path, root: Path) -> int:
    """Start the web server on a port that nobody listens on; who loses a race for it tries another."""
    for port in filter(free, random.sample(_PORTS, _TRIES)):
        (directory / "web" / "nginx.conf").write_text(_nginx(directory, root, port))
        try:
            Processes(directory).start([_web(directory, port)])
        except LabBroken:
            if free(port):
                raise  # it died of something else
        else:
            return port
    raise LabBroken("others took every port that a scratch environment tried to listen on")


def _install(directory: Path) -> None:
    options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
    own = [f"--datadir={directory / 'db/data'}", f"--tmpdir={directory / 'tmp'}"]
    run("mariadb-install-db", *options, *_as_root(), *own)


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _database(directory: Path) -> Daemon:
    socket_file = directory / SOCKET
    words = (
        shutil.which("mariadbd", path=walls.PATH) or "mariadbd",
        "--no-defaults",
        f"--datadir={directory / 'db/data'}",
        f"--tmpdir={directory / 'tmp'}",
        f"--socket={socket_file}",
        f"--pid-file={directory / 'db/mariadbd.pid'}",
        "--skip-networking",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-doublewrite=OFF",
        "--max-allowed-packet=512M",
        "--performance-schema=OFF",
        "--character-set-server=utf8mb4",
        "--event-scheduler=DISABLED",
        *_as_root(),
    )
    return Daemon("database", words, lambda: answers_on_socket(socket_file))


def _admit(directory: Path, password: str) -> None:
    secret = lab_database.quoted(password)
    statements = (
        "CREATE DATABASE scratch CHARACTER SET utf8mb4;"
        f"CREATE USER 'scratch'@'localhost' IDENTIFIED BY {secret};"
        "GRANT ALL ON scratch.* TO 'scratch'@'localhost'"
    )
    client = ["mariadb", "--no-defaults", f"--socket={directory / SOCKET}", "--user=root"]
    run(*client, feed=statements.encode())


def _php(directory: Path) -> Daemon:
    socket_file = directory / "web/php.sock"
    as_root = ("--allow-to-run-as-root",) if os.geteuid() == 0 else ()
    words = (str(fpm_program()), "--nodaemonize", "-y", str(directory / "web/php-fpm.conf"))
    return Daemon("php", (*walls.alone(), *words, *as_root), lambda: answers_on_socket(socket_file))


def _web(directory: Path, port: int) -> Daemon:
    nginx = shutil.which("nginx", path=walls.PATH) or "nginx"
    log, configuration = directory / "logs/nginx.log", directory / "web/nginx.conf"
    words = (nginx, "-e", str(log), "-c", str(configuration))
    listens = directory / "web/nginx.pid"  # written once it does: another may answer there
    return Daemon("web", words, lambda: listens.exists() and answers(port))


def _fpm(directory: Path) -> str:
    kept_in = "\n".join(
        f"php_admin_value[{name}] = {value}" for name, value in walls.settings(directory).items()
    )
    account = "user = root\ngroup = root\n" if os.geteuid() == 0 else ""
    return f"""[global]
error_log = {directory / "logs/php-fpm.log"}
[scratch]
{account}listen = {directory / "web/php.sock"}
pm = ondemand
pm.max_children = 4
catch_workers_output = yes
{kept_in}
php_admin_value[upload_tmp_dir] = {directory / "tmp"}
php_admin_value[session.save_path] = {directory / "tmp"}
php_admin_value[error_log] = {directory / "home/logs/php-error.log"}
php_admin_flag[log_errors] = on
php_flag[display_errors] = off
"""


def _nginx(directory: Path, root: Path, port: int) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"  {kind}_temp_path {directory / 'tmp' / kind};" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""daemon off;
{user}worker_processes 1;
pid {directory / "web/nginx.pid"};
events {{ worker_connections 64; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
{temporary}
  server {{
    listen 127.0.0.1:{port};
    root {root};
    index index.php index.html;
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ \\.php$ {{
      try_files $uri =404;
      include /etc/nginx/fastcgi_params;
      fastcgi_param HTTP_HOST $http_host;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_pass unix:{directory / "web/php.sock"};
      fastcgi_read_timeout 120s;
    }}
  }}
}}
"""
