"""The peers, each in a virtual environment of its own that is kept between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

WANTED = {
    "ansible": ("ansible-core==2.19.14",),
    "mitogen": ("ansible-core==2.19.14", "mitogen==0.3.54"),
    "pyinfra": ("pyinfra==3.10.0",),
    "borgmatic": ("borgmatic==2.1.10",),
    "plot": ("matplotlib==3.11.2",),
}
"""Environment → what is installed there."""


def cache() -> Path:
    """Return the directory that is kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "opsplay/bench"


def environment(name: str, say: Callable[[str], None]) -> Path:
    """Return the directory of programs of an environment, installed now if it is not there.

    Raises:
        RuntimeError: pip could not install it.
    """
    place = cache() / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
    stamp, wanted = place / "installed", "\n".join(WANTED[name])
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"installing {' and '.join(WANTED[name])}")
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True, symlinks=True)
        words = [str(place / "bin/python"), "-m", "pip", "install", "-q", *WANTED[name]]
        done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            raise RuntimeError(f"{name} could not be installed: {done.stderr[-1500:]}")
        stamp.write_text(wanted)
    return place / "bin"


def version(name: str) -> str:
    """Return the version of a peer that is measured."""
    return WANTED[name][-1].partition("==")[2]


def package_folder(place: Path, package: str) -> Path:
    """Return where a package lies in an environment, given its directory of programs."""
    return next(place.parent.glob(f"lib/python3*/site-packages/{package}"))
