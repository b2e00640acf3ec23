"""The lab's parts from the package managers: Debian packages, and archives packed by npm."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from opsplay.core.errors import LabBroken
from opsplay.lab.commands import run

Progress = Callable[[str], None]

_PROGRAMS = {
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "mariadbd": "mariadb-server",
    "mariadb-dump": "mariadb-client",
    "nginx": "nginx",
    "php": "php-cli",
    "zstd": "zstd",
    "age": "age",
    "curl": "curl",
    "rsync": "rsync",
    "unzip": "unzip",
    "zip": "zip",
    "npm": "npm",
}
_PHP_MODULES = {
    "mysqli": "php-mysql",
    "gd": "php-gd",
    "dom": "php-xml",
    "mbstring": "php-mbstring",
    "curl": "php-curl",
    "zip": "php-zip",
    "intl": "php-intl",
}
_SPARING = ("-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")
_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"


def cache() -> Path:
    """Return the directory that keeps parts between labs (`$OPSPLAY_LAB_CACHE`)."""
    chosen = os.environ.get("OPSPLAY_LAB_CACHE", "")
    place = Path(chosen) if chosen else Path.home() / ".cache" / "opsplay" / "lab"
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other processes out of what the file stands for."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def missing() -> list[str]:
    """Return the Debian packages that are needed and not there."""
    wanted = [
        package
        for program, package in _PROGRAMS.items()
        if not shutil.which(program, path=_SEARCHED)
    ]
    if not list(Path("/usr/sbin").glob("php-fpm*")):
        wanted.append("php-fpm")
    modules = run("php", "-m").decode().lower().split() if "php-cli" not in wanted else []
    return wanted + [package for module, package in _PHP_MODULES.items() if module not in modules]


def install(progress: Progress) -> None:
    """Install what is missing (as root).

    Raises:
        LabBroken: something is missing and this user may not install it; the message holds the
            command for somebody who may.
    """
    wanted = missing()
    if wanted:
        if os.geteuid() == 0:
            progress(f"installing {', '.join(wanted)}")
        apt_install(*wanted)


def apt_install(*packages: str) -> None:
    """Install Debian packages. Raises LabBroken with the exact command for a plain user."""
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0:
        raise LabBroken(
            f"these Debian packages are missing: {' '.join(packages)}",
            state="nothing was started",
            next_command=f"sudo sh -c '{command}'",
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-q", env=quiet, timeout=600)
    # What npm recommends is a compiler and a test runner: half a gigabyte, and two minutes.
    run("apt-get", "install", *_SPARING, *packages, env=quiet, timeout=1200)


def debian_archive(package: str, into: Path) -> Path:
    """Fetch a Debian package without installing it; return the directory it was unpacked to."""
    into.mkdir(parents=True, exist_ok=True)
    try:
        run("apt-get", "download", "-q", package, directory=into)
    except LabBroken:
        if os.geteuid() != 0:
            raise
        run("apt-get", "update", "-q", timeout=600)
        run("apt-get", "download", "-q", package, directory=into)
    archive = next(into.glob(f"{package}_*.deb"))
    run("dpkg-deb", "-x", archive, into)
    archive.unlink()
    return into


def npm_archive(package: str, into: Path, below: tuple[str, ...]) -> Path:
    """Fetch an npm package without installing it; return the directory with the wanted part.

    `below`: files and directories inside the package; only these are unpacked.
    """
    into.mkdir(parents=True, exist_ok=True)
    run("npm", "pack", "--silent", package, directory=into, timeout=900)
    archive = next(into.glob("*.tgz"))
    run("tar", "-xzf", archive, "-C", into, *(f"package/{path}" for path in below))
    archive.unlink()
    return into / "package"
