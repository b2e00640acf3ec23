"""A scratch environment for a restore drill: MariaDB, PHP and a web server of its own, for a while.

Everything lies in one directory of the temporary directory, listens on loopback or on sockets, and
is gone when the drill ends. PHP runs without any network where this machine lets us make one for
it (`unshare`): what is restored can call nobody. What a killed drill left behind, the next one
clears away.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opsplay.core.environment import Environment, Host
from opsplay.kit.shell import assign
from opsplay.lab import scratch_servers as servers
from opsplay.lab import scratch_walls as walls
from opsplay.lab.processes import MARK, Processes, started_at
from opsplay.transports.local import LocalChannel, LocalTransport

_PREFIX = "opsplay-drill-"
_OWNER = "owner.json"
_JUST_MADE = 60.0
"""Seconds in which a directory may have no owner written in it yet."""


@dataclass(frozen=True)
class ScratchStack:
    """One scratch environment that runs."""

    directory: Path
    environment: Environment
    transport: ScratchTransport
    access: tuple[str, str, str, str]
    """The database's name, user, password and host."""
    isolated: bool
    """Whether PHP has no network at all."""


@contextmanager
def scratch(site: str, wp_cli: Callable[[], Path | None]) -> Iterator[ScratchStack]:
    """Start a scratch environment; it is destroyed at the end of the block, whatever happens.

    `wp_cli` returns where WP-CLI is, if it is anywhere.

    Raises:
        LabBroken: something is missing on this machine, or a server did not start.
    """
    clear_left_behind()
    servers.insist_on_programs()
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        owner = {"pid": os.getpid(), "started": started_at(os.getpid()), "site": site}
        (directory / _OWNER).write_text(json.dumps(owner))
        yield _started(directory, wp_cli())
    finally:
        destroy(directory)


def destroy(directory: Path) -> None:
    """End every process of a scratch environment and remove it."""
    processes = Processes(directory)
    processes.stop(patience=0.3)
    processes.end_strays()
    shutil.rmtree(directory, ignore_errors=True)


def clear_left_behind() -> tuple[Path, ...]:
    """Destroy the scratch environments of drills that were killed; return which."""
    gone = [one for one in _ours() if not _owned(one)]
    for directory in gone:
        destroy(directory)
    return tuple(gone)


def _ours() -> Iterator[Path]:
    for one in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if one.is_dir() and one.stat().st_uid == os.geteuid():
                yield one


def _owned(directory: Path) -> bool:
    """Return whether the process that made it still runs."""
    try:
        owner = json.loads((directory / _OWNER).read_text())
    except (FileNotFoundError, ValueError):
        return _just_made(directory)
    return bool(owner["started"]) and started_at(int(owner["pid"])) == owner["started"]


def _just_made(directory: Path) -> bool:
    try:
        return time.time() - directory.stat().st_mtime < _JUST_MADE
    except FileNotFoundError:
        return False


def _started(directory: Path, wp_cli: Path | None) -> ScratchStack:
    home = directory / "home"
    root = home / "htdocs"
    for place in (root, home / "bin", home / "tmp", home / "logs"):
        place.mkdir(parents=True)
    walls.write(directory, home / "bin", wp_cli)
    password = secrets.token_hex(16)
    port = servers.start(directory, root, password)
    url = f"http://127.0.0.1:{port}"
    log = str(home / "logs" / "php-error.log")
    transport = ScratchTransport(directory)
    return ScratchStack(
        directory=directory,
        environment=Environment("drill", transport.host, str(root), url, log),
        transport=transport,
        access=("scratch", "scratch", password, f"localhost:{directory / servers.SOCKET}"),
        isolated=bool(walls.alone()),
    )


class ScratchTransport(LocalTransport):
    """This machine, as it looks from inside a scratch environment."""

    def __init__(self, directory: Path) -> None:
        # A name of its own: nobody takes it for the machine itself.
        super().__init__(Host("local"))
        home = directory / "home"
        self._head = "\n".join(
            (
                assign("HOME", str(home)),
                assign("TMPDIR", str(home / "tmp")),
                assign(MARK, str(directory)),
                assign("PATH", f"{home / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"),
                "WP_CLI_ALLOW_ROOT=1 https_proxy=http://127.0.0.1:9 no_proxy=127.0.0.1,localhost",
                f"export HOME TMPDIR PATH {MARK} WP_CLI_ALLOW_ROOT https_proxy no_proxy",
                'cd "$HOME" || exit 255',
                "",
            )
        )

    def _start(self, script: str) -> LocalChannel:
        return super()._start(self._head + script)
