"""The host's half of a backup by itself: any host, any producer, a vault in memory; milliseconds each."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from opsplay.core.environment import Host
from opsplay.core.errors import LineCut
from opsplay.core.snapshot import Stream
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.store_dialogue import Dialogue
from opsplay.engine.store_script import Saved, host_script
from opsplay.kit.clock import Clock, FrozenClock
from opsplay.kit.shell import quote
from opsplay.transports.local import LocalChannel, LocalTransport
from opsplay.vaults.memory import MemoryVault

KEYS = (pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate())
SEGMENT = 1 << 17
END = "-- Dump completed on a day"


def dump(size: int = 300_000, ending: str = f"printf '\\n%s\\n' '{END}'") -> Saved:
    """Return a dump of so many bytes that do not compress, and its last line."""
    return Saved(
        "database",
        f"dd if=/dev/urandom bs={size} count=1 iflag=fullblock 2>/dev/null; {ending}",
        True,
    )


def pack(root: Path, *names: str, number: int = 0, compressed: bool = True) -> Saved:
    return Saved(f"files-{number:02d}", names=names, root=str(root), compressed=compressed)


def settings(**changes: object) -> VaultSettings:
    recipients = tuple(str(one.to_public()) for one in KEYS)
    return replace(VaultSettings("shelf", "memory", recipients=recipients), **changes)


@dataclass
class Hosting:
    """One host, where streams are saved, and what became of them."""

    vault: Vault = field(default_factory=lambda: MemoryVault("shelf"))
    settings: VaultSettings = field(default_factory=settings)
    clock: Clock = field(default_factory=lambda: FrozenClock(datetime(2026, 11, 22, tzinfo=UTC)))
    transport: Transport = field(default_factory=lambda: LocalTransport(Host("local")))
    segment_bytes: int = SEGMENT
    stored: Callable[[str, int], None] = lambda _stream, _size: None
    retried: list[str] = field(default_factory=list)
    patience: int = 30
    dialogue: Dialogue | None = None

    def save(self, *streams: Saved) -> tuple[Stream, ...]:
        script = host_script(
            streams,
            spool="shop@production",
            recipients=self.settings.recipients,
            segment_bytes=self.segment_bytes,
            limit_rate=self.settings.limit_rate,
        )
        talk = self.dialogue = Dialogue(
            channel=self.transport.open(script),
            vault=self.vault,
            site="shop",
            clock=self.clock,
            segment_bytes=self.segment_bytes,
            stored=self.stored,
            retried=lambda error, _attempt, _wait: self.retried.append(error),
            settings=self.settings,
            streams=streams,
            preflight=f"v1/shop/preflight/{secrets.token_hex(4)}",
        )
        talk.upload.patience = self.patience
        try:
            talk.greet()
            run = secrets.token_hex(4)
            made = tuple(
                talk.stream(
                    one.name, "db" if one.has_trailer else "files", f"v1/shop/{run}-{one.name}"
                )
                for one in streams
            )
            talk.farewell()
            return made
        except LineCut:
            raise
        except BaseException:
            talk.stop()
            raise
        finally:
            talk.channel.close()

    @property
    def tools(self) -> dict[str, str]:
        assert self.dialogue
        return self.dialogue.tools

    @property
    def lost(self) -> dict[str, tuple[str, ...]]:
        assert self.dialogue
        return self.dialogue.lost

    def plain(self, stream: Stream) -> bytes:
        """Return what was saved: fetched, decrypted by each of the keys, decompressed."""
        body = b"".join(b"".join(self.vault.get(one.key)) for one in stream.segments)
        opened = {pyrage.decrypt(body, [key]) for key in KEYS}
        assert len(opened) == 1
        return decompressed(opened.pop(), stream.compression)

    def unpacked(self, stream: Stream, folder: Path) -> Path:
        """Unpack a pack with GNU tar into a new folder and return it."""
        folder.mkdir()
        words = ["/usr/bin/tar", "-xpf", "-", "-C", str(folder)]
        done = subprocess.run(words, input=self.plain(stream), capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
        return folder

    def members(self, stream: Stream) -> set[str]:
        with tarfile.open(
            fileobj=io.BytesIO(self.plain(stream)), errors="surrogateescape"
        ) as archive:
            return {one.name.removeprefix("./") for one in archive.getmembers()}


class Nobody(LocalTransport):
    """This machine, as a user who may read and write less than we; tests that need one run as root."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Host("local"))
        if os.geteuid() != 0:
            pytest.skip("only root can become somebody who may not read")
        self.home = folder / "nobody"
        self.home.mkdir()
        os.chown(self.home, 65534, 65534)
        for one in (folder, *folder.parents):
            if one.stat().st_uid == 0 and len(one.parts) > 2:
                one.chmod(one.stat().st_mode | 0o055)

    def open(self, script: str) -> LocalChannel:
        become = "exec /usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups sh -c"
        return super().open(f"HOME={quote(str(self.home))}; export HOME; {become} {quote(script)}")


def decompressed(body: bytes, compression: str) -> bytes:
    if compression == "zstd":
        words = ["/usr/bin/zstd", "-q", "-d", "-c"]
        return subprocess.run(words, input=body, capture_output=True, check=True).stdout
    return gzip.decompress(body) if compression == "gzip" else body
