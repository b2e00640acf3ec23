"""The user's ssh_config, read once: `Include` is followed, which paramiko's reader does not do."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from paramiko.config import SSHConfig
from paramiko.ssh_exception import ConfigParseError

from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput

_DEEPEST = 16
"""OpenSSH's own limit for nested `Include`s."""


def config_for(host: Host) -> SSHConfig:
    """Return the parsed configuration that holds for `host`. Shared: only look up in it.

    Raises:
        InvalidInput: the file the inventory names does not exist or cannot be parsed.
    """
    if host.ssh_config and not Path(host.ssh_config).expanduser().is_file():
        raise InvalidInput(
            f"host {host}: the ssh_config {host.ssh_config} does not exist",
            next_command="correct ssh_config in the inventory",
        )
    named = [host.ssh_config] if host.ssh_config else ["~/.ssh/config", "/etc/ssh/ssh_config"]
    text = "\n".join(_expanded(Path(name).expanduser()) for name in named)
    try:
        return _parsed(text)
    except ConfigParseError as error:
        raise InvalidInput(f"host {host}: {', '.join(named)}: {error}") from error


def known_hosts_files(options: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the known_hosts files that `options` name, the user's first."""
    user = options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
    everybody = options.get(
        "globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
    )
    words = [word for value in (user, everybody) for word in shlex.split(value)]
    return tuple(
        Path(word.replace("%d", str(Path.home()))).expanduser() for word in words if word != "none"
    )


@lru_cache(maxsize=32)
def _parsed(text: str) -> SSHConfig:
    return SSHConfig.from_text(text)


def _expanded(path: Path, depth: int = 0) -> str:
    if depth > _DEEPEST or not path.is_file():
        return ""
    lines = []
    for line in path.read_text("utf-8", "replace").splitlines():
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() != "include":
            lines.append(line)
            continue
        for pattern in shlex.split(rest):
            lines.extend(_expanded(file, depth + 1) for file in _files(pattern, path))
    return "\n".join(lines)


def _files(pattern: str, named_in: Path) -> list[Path]:
    # ssh_config(5): relative names are below ~/.ssh, in the system's file below /etc/ssh.
    system = named_in.parts[:3] == ("/", "etc", "ssh")
    below = Path("/etc/ssh") if system else Path("~/.ssh").expanduser()
    whole = below / Path(pattern).expanduser()
    return sorted(Path(os.sep).glob(str(whole.relative_to(os.sep))))
