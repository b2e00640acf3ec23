"""A stream's plain bytes on the controller, to read through once: nothing is kept on the disk.

Decompression is done by this machine's own tools (Python 3.11 knows no zstd): what age gives goes
to them over a channel, and comes back through a named pipe that only this process can open.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from opsplay.core.errors import StepFailed, VaultRefused
from opsplay.core.transport import Channel, Transport
from opsplay.engine.restore_stream import Plaintext
from opsplay.kit.shell import quote

_TOOLS = {"zstd": "zstd -q -dc", "gzip": "gzip -dc", "none": "cat"}
_CHUNK = 1 << 18


class Hashed:
    """A file to read from, which adds up what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int = _CHUNK) -> bytes:
        """Return the next bytes, b"" at the end."""
        found = self._file.read(size)
        self._digest.update(found)
        self.bytes += len(found)
        return found

    @property
    def sha256(self) -> str:
        """Return the hexadecimal SHA-256 of all that was read so far."""
        return self._digest.hexdigest()


@contextmanager
def plain(here: Transport, source: Plaintext, keys: Sequence[object]) -> Iterator[Hashed]:
    """Give the plain bytes of a stream. What goes wrong on the way there is raised at the end.

    Raises:
        VaultRefused: a segment is missing, damaged, or cannot be decrypted or decompressed.
        Unreachable: the storage.
        StepFailed: this machine lacks the tool that decompresses.
    """
    tool = _TOOLS[source.stream.compression]
    with tempfile.TemporaryDirectory(prefix="opsplay-") as folder:
        fifo = Path(folder, "plain")
        os.mkfifo(fifo, 0o600)
        # Open for reading before anybody writes: neither side then waits for the other for ever.
        descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=_CHUNK) as file:
            channel = _opened(here, tool, fifo)
            os.set_blocking(descriptor, True)
            feeder = _Feeder(source, channel, keys)
            feeder.start()
            try:
                yield Hashed(file)
            except Exception as error:
                raise feeder.ended(file) or error from error
            if failure := feeder.ended(file):
                raise failure


def _opened(here: Transport, tool: str, fifo: Path) -> Channel:
    name = tool.split(maxsplit=1)[0]
    channel = here.open(
        f"command -v {name} >/dev/null || exit 127\n"
        f"exec 5>{quote(str(fifo))} || exit 1\necho ready\nexec {tool} >&5"
    )
    if channel.receive_line() == b"ready\n":
        return channel
    answer = channel.finish(10)
    channel.close()
    raise StepFailed(
        f"{name} cannot be started on this machine: {answer.stderr.strip() or 'not installed'}",
        state="the backup was not looked into",
        next_command=f"install {name} here, then verify again",
    )


class _Feeder(threading.Thread):
    """Fetches, decrypts and hands over to the tool, while somebody else reads what comes out."""

    def __init__(self, source: Plaintext, channel: Channel, keys: Sequence[object]) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._channel = channel
        self._keys = tuple(keys)
        self._failure: Exception | None = None

    def run(self) -> None:
        try:
            self._feed()
        except BrokenPipeError:
            return  # whoever reads has seen enough, or the tool has ended: its reader knows why
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that reads
            self._failure = error
        finally:
            self._channel.close()

    def _feed(self) -> None:
        try:
            self._source.send_to(self._channel, self._keys)
        finally:
            self._channel.send_eof()
        answer = self._channel.finish()
        if not answer.ok:
            why = answer.stderr.strip() or f"status {answer.exit_status}"
            raise VaultRefused(f"{_first(self._source)} cannot be decompressed: {why}")

    def ended(self, file: IO[bytes]) -> Exception | None:
        """Wait for the end and return what went wrong."""
        file.close()
        self.join()
        return self._failure


def _first(source: Plaintext) -> str:
    segments = source.stream.segments
    return segments[0].key if segments else source.stream.name
