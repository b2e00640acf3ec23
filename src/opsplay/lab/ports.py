"""Blocks of ports: each lab on a machine has its own, remembered in the lab and in the cache.

Blocks lie between 20000 and 22700: always five digits, below the ports that the kernel hands out,
and the S3 server's second set (each port + 10000) is too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from opsplay.core.errors import LabBroken
from opsplay.lab import packages
from opsplay.lab.listening import free
from opsplay.lab.places import PORT_NAMES

_FIRST, _LAST, _SIZE = 20000, 22688, 32
_SECOND = 10000


def remembered(directory: Path) -> int:
    """Return the first port of the lab's block, 0 for a directory without a lab."""
    file = directory / "lab.json"
    return int(json.loads(file.read_text())["first_port"]) if file.exists() else 0


def reserve(directory: Path) -> int:
    """Choose a free block for a new lab and return its first port. Raises LabBroken."""
    register = packages.cache() / "ports.json"
    with packages.locked(packages.cache() / "ports.lock"):
        taken: dict[str, int] = {}
        if register.exists():
            taken = json.loads(register.read_text())
        living = {
            place: first for place, first in taken.items() if remembered(Path(place)) == first
        }
        first = _choose(set(living.values()))
        register.write_text(json.dumps(living | {str(directory): first}, indent=1))
        (directory / "lab.json").write_text(json.dumps({"first_port": first}))
    return first


def block_free(first: int) -> bool:
    """Return whether nobody uses a port of the block."""
    second = [first + _SECOND + number for number in range(5)]
    strangers = [one for one in sockets_of_s3(first) if one.stat().st_uid != os.geteuid()]
    return not strangers and all(
        free(port) for port in (*range(first, first + len(PORT_NAMES)), *second)
    )


def sockets_of_s3(first: int) -> list[Path]:
    """Return the sockets that a killed S3 server of this block left behind.

    It makes them in the system's temporary directory whatever it is told, removes them when it
    ends well, and another user's server cannot start on the same ports while they are there.
    """
    ports = range(first + _SECOND, first + _SECOND + 5)
    return [one for port in ports for one in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock")]


def _choose(taken: set[int]) -> int:
    blocks = list(range(_FIRST, _LAST, _SIZE))
    start = os.getpid() % len(blocks)
    for first in blocks[start:] + blocks[:start]:
        if first not in taken and block_free(first):
            return first
    raise LabBroken("no free block of ports between 20000 and 22700 on this machine")
