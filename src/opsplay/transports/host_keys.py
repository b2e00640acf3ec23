"""Whether a host is who it claims to be; unknown and changed keys are refused, always."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import paramiko

from opsplay.core.environment import Host
from opsplay.core.errors import HostKeyRefused
from opsplay.transports.known_hosts import (
    Known,
    KnownHosts,
    Verdict,
    fingerprint,
    names_of,
    read,
)

ACCEPT_COMMAND = "invoke hosts.accept"
"""Takes the host as the inventory names it, and `--fingerprint` to accept that one key only."""


@dataclass(frozen=True)
class Identity:
    """Under which names a host is looked up, and in which files."""

    host: Host
    names: tuple[str, ...]
    files: tuple[Path, ...]

    def known(self) -> KnownHosts:
        """Return what the files say now."""
        return read(self.files)

    def judge(self, key: paramiko.PKey) -> tuple[Verdict, list[Known]]:
        """Return the verdict on a key the host presents, and the lines it rests on."""
        return self.known().judge(self.names, key.get_name(), key.get_base64())

    def kinds(self) -> set[str]:
        """Return the kinds of key the host is known by, such as `ssh-ed25519`."""
        known = self.known()
        return {line.kind for name in self.names for line in known.of(name) if not line.revoked}


def identity(host: Host, address: str, port: int, alias: str, files: tuple[Path, ...]) -> Identity:
    """Return the identity to look up for a host that ssh_config resolved to `address`, `port`."""
    return Identity(host, names_of(address, port, alias), files)


class StrictKeys(paramiko.MissingHostKeyPolicy):
    """Judges every key itself: the client is given no known hosts of its own."""

    def __init__(self, who: Identity) -> None:
        self._who = who

    def missing_host_key(self, client: paramiko.SSHClient, _name: str, key: paramiko.PKey) -> None:
        """Return when the key is known. Raises HostKeyRefused."""
        verdict, lines = self._who.judge(key)
        if verdict is not Verdict.KNOWN:
            raise refusal(self._who.host, verdict, key, lines)


class KeySeen(Exception):  # no error: it ends the handshake once the key is there
    """Carries the key out of a handshake that goes no further."""

    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__("host key seen")
        self.key = key


class OnlyLook(paramiko.MissingHostKeyPolicy):
    """Ends the handshake as soon as the key was seen: no login is tried."""

    def missing_host_key(self, client: paramiko.SSHClient, _name: str, key: paramiko.PKey) -> None:
        """Raise KeySeen."""
        raise KeySeen(key)


def refusal(host: Host, verdict: Verdict, key: paramiko.PKey, lines: list[Known]) -> HostKeyRefused:
    """Return the error that says why the key is refused and how a person may accept it."""
    shown = f"{key.get_name()} {fingerprint(key.asbytes())}"
    where = ", ".join(sorted({f"{line.file}:{line.line}" for line in lines}))
    state = "nothing was sent; compare the fingerprint with what the hosting provider says"
    if verdict is Verdict.REVOKED:
        return HostKeyRefused(
            f"{host} presents a key that is marked as revoked ({where}): {shown}",
            state="nothing was sent",
            next_command="ask the hosting provider; nobody should trust this key",
        )
    if verdict is Verdict.CHANGED:
        return HostKeyRefused(
            f"{host} presents another key than the known one ({where}): {shown}. Either the "
            "server was set up anew, or somebody stands in between",
            state=state,
            next_command=f"{ACCEPT_COMMAND} {host} --fingerprint {fingerprint(key.asbytes())}",
        )
    return HostKeyRefused(
        f"{host} is not known yet; it presents the key {shown}",
        state=state,
        next_command=f"{ACCEPT_COMMAND} {host}",
    )


def remember(who: Identity, key: paramiko.PKey, replaced: Iterable[Known]) -> Path:
    """Write the key into the user's first known_hosts file, in place of the lines `replaced`.

    Returns the file. Lines in other files cannot be replaced: those belong to somebody else.

    Raises:
        HostKeyRefused: a line that contradicts the key stands in another file.
    """
    file = who.files[0]
    gone = {line.line for line in replaced if line.file == file}
    others = sorted({str(line.file) for line in replaced if line.file != file})
    if others:
        raise HostKeyRefused(
            f"{', '.join(others)} knows {who.host} by another key",
            state="nothing was accepted",
            next_command=f"ssh-keygen -R {who.names[0]} -f {others[0]}",
        )
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    kept = [line for number, line in enumerate(lines, 1) if number not in gone]
    kept.append(f"{who.names[0]} {key.get_name()} {key.get_base64()}")
    _write(file, "\n".join(kept) + "\n")
    return file


def _write(file: Path, text: str) -> None:
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".known_hosts-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary = Path(name)
    temporary.chmod(mode)
    temporary.replace(file.resolve())
