"""What the lab consists of, and where each part of it lives. Pure: nothing is created here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HOSTS = ("web1", "web2", "web3")

DAEMONS = ("ssh-web1", "ssh-web2", "ssh-web3", "database", "s3", "php", "web", "source")


@dataclass(frozen=True)
class LabEnvironment:
    """One installation of a lab site: where it is, and what is needed to look into it."""

    site: str
    name: str
    host: str
    """`web1`, `web2` or `web3`; its SSH alias is `lab-<host>`."""
    home: Path
    """Directory that holds the root and, beside it, logs, mail and switches."""
    port: int

    @property
    def key(self) -> str:
        return f"{self.site}-{self.name}"

    @property
    def root(self) -> Path:
        return self.home / "htdocs"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def error_log(self) -> Path:
        return self.home / "logs" / "php-error.log"

    @property
    def mail(self) -> Path:
        return self.home / "mail"

    @property
    def fatal_switch(self) -> Path:
        """File whose presence makes lab-shop 1.3.0 die on this environment only."""
        return self.home / "switches" / "fatal"

    @property
    def database(self) -> str:
        return self.key.replace("-", "_")


SITES: Mapping[str, Mapping[str, str]] = {
    "bakery": {"production": "web1", "staging": "web1"},
    "florist": {"production": "web2", "staging": "web3"},
}
"""Each site's environments and the hosts they live on."""


PORT_NAMES = (
    "s3-master",
    "s3-volume",
    "s3-filer",
    "s3",
    "s3-admin",
    "s3-relay",
    "database",
    "source",
    *(f"ssh-{host}" for host in HOSTS),
    *(f"ssh-{host}-relay" for host in HOSTS),
    *(f"{site}-{environment}" for site, all_of in SITES.items() for environment in all_of),
)


@dataclass(frozen=True)
class Places:
    """Paths and ports of one lab. `first_port` starts a block of consecutive ports."""

    directory: Path
    first_port: int

    def port(self, name: str) -> int:
        """Return the port of one service (names in `PORT_NAMES`)."""
        return self.first_port + PORT_NAMES.index(name)

    def home(self, host: str) -> Path:
        """Return the login directory of a host."""
        return self.directory / "hosts" / host

    def environment(self, site: str, name: str) -> LabEnvironment:
        """Return one installation of a site."""
        host = SITES[site][name]
        home = self.home(host) / "sites" / f"{site}-{name}"
        return LabEnvironment(site, name, host, home, self.port(f"{site}-{name}"))

    def environments(self, site: str | None = None) -> Iterator[LabEnvironment]:
        """Yield the installations of one site, or of all."""
        for one in SITES if site is None else (site,):
            for name in SITES[one]:
                yield self.environment(one, name)

    @property
    def source_url(self) -> str:
        return f"http://127.0.0.1:{self.port('source')}"

    @property
    def s3_url(self) -> str:
        return f"http://127.0.0.1:{self.port('s3')}"

    @property
    def secrets(self) -> Path:
        return self.directory / "secrets"

    @property
    def ssh(self) -> Path:
        return self.directory / "ssh"

    @property
    def database(self) -> Path:
        return self.directory / "database"

    @property
    def storage(self) -> Path:
        return self.directory / "s3"

    @property
    def web(self) -> Path:
        return self.directory / "web"

    @property
    def source(self) -> Path:
        return self.directory / "source"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"
