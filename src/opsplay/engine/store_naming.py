"""Where the parts of one backup go in the vault. Nothing is ever overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from opsplay.core.snapshot import site_prefix

_ENDINGS = {"zstd": ".zst", "gzip": ".gz", "none": ""}


@dataclass(frozen=True)
class Naming:
    """The names of one attempt: each has keys of its own, so that none meets another's objects."""

    site: str
    run: str
    attempt: int
    started: datetime

    @property
    def chain(self) -> str:
        """Return the month."""
        return f"{self.started:%Y-%m}"

    @property
    def snap(self) -> str:
        """Return the snapshot's name, which sorts by time."""
        return f"{self.started:%Y%m%dT%H%M%S}-{self.run.rpartition('-')[2]}"

    @property
    def preflight(self) -> str:
        """Return the key by which it is tried whether a host reaches the storage."""
        return f"{self._folder}/preflight/{self.snap}-{self.attempt}"

    def stream(self, name: str, compression: str) -> str:
        """Return what the keys of a stream's segments begin with; a number follows."""
        ending = f"{_ENDINGS[compression]}.age"
        if name == "database":
            return f"{self._folder}/db/{self.snap}-database-{self.attempt}.sql{ending}"
        number = name.removeprefix("files-")
        return f"{self._folder}/pack/{self.snap}-{number}-{self.attempt}.tar{ending}"

    @property
    def index(self) -> str:
        """Return the key of the index of files."""
        return f"{self._folder}/index/{self.snap}-{self.attempt}.tsv.gz.age"

    @property
    def _folder(self) -> str:
        return f"{site_prefix(self.site)}{self.chain}"
