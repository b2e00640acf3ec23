"""The last indexes of files, kept beside the journal: a controller without identities needs them.

One file an index, named by the SHA-256 of its text, which whoever reads it compares.
"""

from __future__ import annotations

import gzip
import os
import zlib
from contextlib import suppress
from pathlib import Path

from opsplay.kit.clock import Clock

_KEPT_SECONDS = 100 * 86400.0
"""A month's chain ends; what is older than three is of no use to anybody."""


class FolderIndexes:
    """Indexes in a directory that nobody else may read: they name every file of every client."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def load(self, raw_sha256: str) -> bytes | None:
        """Return the text of an index; None if it is not here, or damaged."""
        try:
            return gzip.decompress(self._path(raw_sha256).read_bytes())
        except (OSError, EOFError, zlib.error):
            return None

    def save(self, raw_sha256: str, text: bytes) -> None:
        """Keep the text of an index, and let go of those that are of no use any more."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(raw_sha256)
        new = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(gzip.compress(text, 1))
        new.replace(path)
        self._forget()

    def _forget(self) -> None:
        oldest = self._clock.now().timestamp() - _KEPT_SECONDS
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another process was quicker
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _path(self, raw_sha256: str) -> Path:
        return self._folder / f"{raw_sha256}.tsv.gz"
