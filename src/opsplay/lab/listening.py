"""Find out whether something answers on a port of this machine."""

from __future__ import annotations

import socket
from pathlib import Path


def answers(port: int) -> bool:
    """Return whether a connection to the port on loopback is accepted."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def greets(port: int, greeting: bytes) -> bool:
    """Return whether the service on the port speaks first, with these bytes."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as line:
            return line.recv(64).startswith(greeting)
    except OSError:
        return False


def free(port: int) -> bool:
    """Return whether a service could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers_on_socket(path: Path) -> bool:
    """Return whether somebody accepts connections on the Unix socket."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(path))
        except OSError:
            return False
        return True
