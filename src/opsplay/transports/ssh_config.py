"""The user's ssh_config, read once: `Include` is followed, which paramiko's reader does not do."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from paramiko.config import SSHConfig, SSHConfigDict
from paramiko.ssh_exception import ConfigParseError

from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput

_WILD = re.compile(r"[*?\[!]")
_DEEPEST = 16
"""OpenSSH's own limit for nested `Include`s."""


@dataclass(frozen=True)
class Lookup:
    """What the configuration says of one host, found once; Fabric asks for it several times."""

    options: SSHConfigDict

    def lookup(self, _hostname: str) -> SSHConfigDict:
        """Return the options, as `SSHConfig.lookup` does."""
        return self.options


def lookup(host: Host) -> Lookup:
    """Return what the configuration says of `host`. Raises InvalidInput as `config_for`."""
    return Lookup(config_for(host).lookup(host.address))


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
    return _paths(f"{user} {everybody}", Path.home())


@lru_cache(maxsize=32)
def _paths(written: str, home: Path) -> tuple[Path, ...]:
    words = [word.replace("%d", str(home)) for word in shlex.split(written)]
    return tuple(Path(word).expanduser() for word in words if word != "none")


class _Blocks(SSHConfig):
    """paramiko's, for files with many hosts: each lookup goes through every block of the file.

    Without this a block costs 0.1 ms, for who we are is asked anew at each; now it is a comparison.
    """

    def _does_match(self, match_list: Any, *more: Any) -> bool:
        return bool(match_list) and super()._does_match(match_list, *more)  # type: ignore[misc]  # not in its stubs

    def _tokenize(self, config: Any, target: Any, key: Any, value: str) -> str:
        if "%" not in value and "~" not in value:
            return value
        return str(super()._tokenize(config, target, key, value))  # type: ignore[misc]  # not in its stubs

    def _pattern_matches(self, patterns: Any, target: str) -> bool:
        if isinstance(patterns, list) and not _WILD.search(" ".join(patterns)):
            return target in patterns
        return bool(super()._pattern_matches(patterns, target))  # type: ignore[misc]  # not in its stubs


@lru_cache(maxsize=32)
def _parsed(text: str) -> SSHConfig:
    return _Blocks.from_text(text)


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
