"""Walls around what is restored for a drill: it may be the backup of a hacked site.

Its PHP runs on this machine, beside the keys to everything. So PHP has no network (where this
machine lets us), sees no file but the scratch environment's and starts no program; the database's
client, which could be told by a dump to start one, is told not to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from opsplay.kit.shell import command, quote

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
_ALONE = (("--net",), ("--user", "--map-current-user", "--net"))
_NO_PROGRAMS = (
    "exec,passthru,pcntl_exec,popen,proc_open,shell_exec,system,dl,mail,link,symlink,posix_kill"
)


@cache
def alone() -> tuple[str, ...]:
    """Return the words before a program that give it no network; none where that is not allowed."""
    tool = shutil.which("unshare", path=PATH)
    for options in _ALONE if tool else ():
        words = (str(tool), *options)
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    return ()


def settings(directory: Path) -> dict[str, str]:
    """Return PHP's settings that keep it inside of the scratch environment."""
    return {
        "open_basedir": f"{directory}/:/usr/share/php/:/dev/urandom:/dev/null",
        "disable_functions": _NO_PROGRAMS,
        "allow_url_fopen": "0" if alone() else "1",
        "sendmail_path": "/bin/false",
        "sys_temp_dir": str(directory / "tmp"),
        "memory_limit": "512M",
    }


def write(directory: Path, tools: Path, wp_cli: Path | None) -> None:
    """Write the programs that scripts in the scratch environment find first."""
    given = [
        word for name, value in settings(directory).items() for word in ("-d", f"{name}={value}")
    ]
    php = shutil.which("php", path=PATH) or "/usr/bin/php"
    _script(tools / "php", f'exec {command(*alone(), php, *given)} "$@"')
    for name in ("mariadb", "mysql"):
        if client := shutil.which(name, path=PATH):
            _script(tools / name, _CLIENT.format(client=quote(client)))
    if wp_cli is not None:
        shutil.copy(wp_cli, tools / "wp")


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


# A dump could hold `\! command`; --defaults-file has to stay the first word.
_CLIENT = """case $({client} --no-defaults --help 2>/dev/null) in *--sandbox*) walls=--sandbox ;; *) walls= ;; esac
case ${{1-}} in --defaults-file=*|--no-defaults) first=$1; shift; exec {client} "$first" $walls "$@" ;; esac
exec {client} $walls "$@\""""
