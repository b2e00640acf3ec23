"""Which keys are offered, in which order, and how: files of ssh_config, agent, usual files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.auth_handler import AuthHandler
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey

_USUAL = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


class KeyLogin(AuthStrategy):
    """Keys only: opsplay never types a password. Fabric makes one for each connection.

    Named files come before the agent's other keys, so that an agent full of keys does not use up
    the server's MaxAuthTries. A file that is missing, or needs a passphrase, is left out; the
    agent offers its key instead, as it does with ssh. `IdentitiesOnly` is honoured.
    """

    def __init__(self, ssh_config: Any, username: str, **_more: Any) -> None:
        """Take what Fabric hands over; `ssh_config` holds the options of one host."""
        super().__init__(ssh_config=ssh_config)
        self._options: Mapping[str, Any] = ssh_config
        self._user = username
        self._agent: paramiko.Agent | None = None

    def get_sources(self) -> Iterator[AuthSource]:
        """Yield every key to offer, once."""
        offered: set[bytes] = set()
        for key in self._keys():
            if key.asbytes() not in offered:
                offered.add(key.asbytes())
                yield InMemoryPrivateKey(username=self._user, pkey=key)

    def authenticate(self, transport: paramiko.Transport) -> Any:
        """Log in. Raises AuthFailure."""
        try:
            return super().authenticate(transport)
        finally:
            if self._agent is not None:
                self._agent.close()

    def _keys(self) -> Iterator[paramiko.PKey]:
        named = [name for name in self._options.get("identityfile", ()) if name != "none"]
        for name in named:
            yield from self._from_file(Path(name).expanduser())
        if self._options.get("identitiesonly", "no").lower() != "yes":
            yield from self._agent_keys()
        for name in () if named else _USUAL:
            yield from self._from_file(Path(name).expanduser())

    def _from_file(self, path: Path) -> Iterator[paramiko.PKey]:
        try:
            yield _loaded(path, path.stat().st_mtime_ns)
        except (OSError, TypeError, ValueError, UnsupportedAlgorithm, paramiko.SSHException):
            public = _public_part(path)
            yield from (key for key in self._agent_keys() if key.get_base64() == public)

    def _agent_keys(self) -> tuple[paramiko.PKey, ...]:
        if self._agent is None:
            # An agent that has gone away offers nothing, as with ssh.
            with contextlib.suppress(paramiko.SSHException, OSError):
                self._agent = paramiko.Agent()
        return self._agent.get_keys() if self._agent is not None else ()


class EagerLogin(AuthHandler):
    """Sends the login right behind the request for the login service: one round trip less.

    OpenSSH reads one message after the other, so that the first is answered before the second is
    looked at. An RSA key waits, because only the answer tells which signatures the host takes.
    """

    _early = False

    def _request_auth(self) -> None:
        # Set before anything is sent: the answer may be here before the next line is.
        self._early = self.private_key is not None and "rsa" not in self.private_key.get_name()
        super()._request_auth()  # type: ignore[misc]  # not in its stubs
        if self._early:
            service = paramiko.Message()
            service.add_string("ssh-userauth")
            service.rewind()
            super()._parse_service_accept(service)  # type: ignore[misc]  # as if it were there

    def _parse_service_accept(self, message: paramiko.Message) -> None:
        if not self._early:
            super()._parse_service_accept(message)  # type: ignore[misc]  # not in its stubs


@lru_cache(maxsize=64)
def _loaded(path: Path, _changed: int) -> paramiko.PKey:
    """Return the key in a file; read once for all hosts, and again when the file has changed."""
    return paramiko.PKey.from_path(path)


def _public_part(path: Path) -> str:
    try:
        words = path.with_name(path.name + ".pub").read_text("utf-8", "replace").split()
    except OSError:
        return ""
    return words[1] if len(words) > 1 else ""
