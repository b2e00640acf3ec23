"""An SSH server that says it is OpenSSH and numbers its sessions otherwise; made with paramiko."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import paramiko

FIRST_NUMBER = 7


class Host(paramiko.ServerInterface):
    """Lets everybody in and answers each command with its own text."""

    def __init__(self, commands: list[bytes], slow: float) -> None:
        self.commands = commands
        self.slow = slow

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        time.sleep(self.slow)
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.commands.append(command)
        threading.Timer(0.1, self._answer, (channel,)).start()  # after the reply
        return True

    def _answer(self, channel) -> None:
        with contextlib.suppress(OSError):
            channel.sendall(b"odd\n")
            channel.send_exit_status(0)
            channel.close()


class OddServer:
    """Serves on a loopback port; `slow`: seconds it thinks before it grants a session."""

    def __init__(self, slow: float) -> None:
        self.slow = slow
        self.key = paramiko.ECDSAKey.generate()
        self.commands: list[bytes] = []
        self.connections: list[paramiko.Transport] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def public_key(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for one in self.connections:
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._door.accept()
                server = paramiko.Transport(line)
                server.local_version = "SSH-2.0-OpenSSH_9.9 odd"
                server._channel_counter = FIRST_NUMBER
                server.add_server_key(self.key)
                self.connections.append(server)
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    server.start_server(server=Host(self.commands, self.slow))


@contextlib.contextmanager
def odd_server(slow: float = 0.0) -> Iterator[OddServer]:
    server = OddServer(slow)
    try:
        yield server
    finally:
        server.close()
