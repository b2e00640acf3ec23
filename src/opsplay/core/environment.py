"""Hosts, and the environments of a site that live on them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """Where SSH goes. Empty fields are left to `ssh_config` and to SSH's own defaults."""

    address: str
    user: str = ""
    port: int = 0
    ssh_config: str = ""
    """Path of an ssh_config file; empty means `~/.ssh/config`."""

    @property
    def local(self) -> bool:
        """Return whether this is the machine opsplay itself runs on (`host: local`)."""
        return self.address == "local"

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{user}{self.address}{port}"


@dataclass(frozen=True)
class Environment:
    """One installation: `production`, `staging` or `drill`."""

    name: str
    host: Host
    root: str
    """Absolute path of the CMS's root directory on the host."""
    url: str
    """Address of the home page, without a slash at the end."""
    error_log: str = ""
    """Path of PHP's error log on the host; empty means: look in the usual places."""
