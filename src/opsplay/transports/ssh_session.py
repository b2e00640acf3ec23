"""A session on an SSH line, asked for without waiting, and given its command without waiting.

paramiko's own calls wait for each reply: one round trip to open a session, one more to start a
command. Here the messages go out in a row and the replies are looked at when they are needed.
What touches paramiko's inside for that is all in this file; its version is pinned by the lock.
"""
# ruff: noqa: SLF001  # see above

from __future__ import annotations

import threading
import time
from typing import Any, cast

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_FAILURE,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
)

_TICK = 0.1
"""Seconds after which a waiting call looks whether the line still lives."""


class Session(paramiko.Channel):
    """A channel for one command. It may be given the command before the host grants it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.answered = threading.Event()
        """The host has granted or denied the session, or the line is gone."""
        self.denial: paramiko.ChannelException | None = None
        self.command_refused = False
        self._sent_to: int | None = None
        self.ended_by_host = False
        """The host has closed the session; a line that breaks closes it too, but not so."""

    @property
    def granted(self) -> bool:
        """Return whether the host has granted it."""
        return bool(self.active)

    @property
    def misdirected(self) -> bool:
        """Return whether the command went to a number that the host has given to nobody."""
        return self._sent_to is not None and self._sent_to != self.remote_chanid

    def wait_until_granted(self, timeout: float) -> None:
        """Wait for the host's word.

        Raises:
            paramiko.ChannelException: the host denies the session.
            paramiko.SSHException: the line is gone, or silent for `timeout` seconds.
        """
        ends = time.monotonic() + timeout
        while not self.answered.wait(_TICK):
            if time.monotonic() > ends:
                raise paramiko.SSHException("no answer to the request for a session")
        if not self.granted:
            raise self.denial or paramiko.SSHException("the line is gone")

    def start(self, command: bytes) -> None:
        """Send the command without waiting for a reply.

        Before the session is granted, this counts on the number 0, which OpenSSH gives to the
        first session of a connection. A host without that number ends the connection: see
        `misdirected`.
        """
        # Read once: the host's word may come in between.
        self._sent_to = int(self.remote_chanid)
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self._sent_to)
        message.add_string("exec")
        message.add_boolean(True)  # want a reply
        message.add_string(command)
        self._say(message)

    def wait_until_started(self, tick: float) -> bool:
        """Wait for `tick` seconds at most; return whether the reply to the command is there."""
        return self.event.wait(tick)

    @property
    def started(self) -> bool:
        """Return whether the host has said that the command runs."""
        return bool(self.event_ready)

    def _say(self, message: paramiko.Message) -> None:
        line: Any = self.transport
        self._event_pending()  # type: ignore[attr-defined]  # not in its stubs
        line._send_user_message(message)

    def _request_failed(self, message: paramiko.Message) -> None:
        self.command_refused = True
        super()._request_failed(message)  # type: ignore[misc]  # not in its stubs

    def _handle_close(self, message: paramiko.Message) -> None:
        self.ended_by_host = True
        super()._handle_close(message)  # type: ignore[misc]  # not in its stubs


_Transport: Any = paramiko.Transport
HANDLERS = {
    **_Transport._channel_handler_table,
    MSG_CHANNEL_FAILURE: lambda channel, message: channel._request_failed(message),
    MSG_CHANNEL_CLOSE: lambda channel, message: channel._handle_close(message),
}
"""Who handles which message of a channel: paramiko's table names its own class's functions, so that
a subclass would not be asked."""


def ask_for_session(line: Any, window: int) -> Session:
    """Send the request for a session with a window of `window` bytes; return it at once."""
    with line.lock:
        number = line._next_channel()
        session: Any = Session(number)
        line._channels.put(number, session)
        line.channel_events[number] = session.answered
        line.channels_seen[number] = True
        session._set_transport(line)
        session._set_window(window, line.default_max_packet_size)
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_OPEN)
    message.add_string("session")
    for count in (number, window, line.default_max_packet_size):
        message.add_int(count)
    line._send_user_message(message)
    return cast("Session", session)


def note_denial(line: Any, message: paramiko.Message) -> None:
    """Tell the session that is denied by `message` why; the message can be read again."""
    session = line._channels.get(message.get_int())
    if isinstance(session, Session):
        session.denial = paramiko.ChannelException(message.get_int(), message.get_text())
    message.rewind()
