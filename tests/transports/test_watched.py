"""What lies between paramiko and the socket: bytes in order, few system calls, time limits kept."""

from __future__ import annotations

import socket

import pytest

from opsplay.transports.meter import Meter
from opsplay.transports.ssh_line import WatchedSocket


class Packetizer:
    """Where paramiko keeps its time limit."""


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(0.05)
    with ours, theirs:
        yield WatchedSocket(ours, Meter(), lambda: True), theirs


def test_bytes_come_in_order_whatever_is_asked_for(pair):
    watched, theirs = pair
    sent = bytes(range(256)) * 20
    theirs.sendall(sent)

    heard = b"".join(watched.recv(size) for size in (1, 16, 7, 0x200, 3))

    assert heard == sent[: len(heard)]
    while len(heard) < len(sent):
        heard += watched.recv(1000)
    assert heard == sent
    with pytest.raises(TimeoutError):
        watched.recv(1)
    theirs.close()
    assert watched.recv(16) == b""


def test_what_was_taken_but_not_read_is_no_hang_up(pair):
    watched, theirs = pair
    theirs.sendall(b"last words")
    watched.recv(4)
    theirs.close()

    assert not watched.hung_up
    assert watched.recv(100) == b" words"
    assert watched.hung_up


@pytest.mark.parametrize(("seconds", "late"), [(0.0, True), (60.0, False)])
def test_a_handshake_has_its_time(pair, seconds, late):
    watched, _ = pair
    packetizer = Packetizer()
    watched.watch_handshake(packetizer)

    assert not packetizer.handshake_timed_out()
    packetizer.start_handshake(seconds)
    assert packetizer.handshake_timed_out() is late
    packetizer.complete_handshake()
    assert not packetizer.handshake_timed_out()
