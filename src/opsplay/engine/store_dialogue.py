"""The controller's half of a backup: name, sign and confirm each segment the host announces.

The host's word never counts: a segment is kept when the storage itself says its size and SHA-256.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from opsplay.core.snapshot import Segment, Stream
from opsplay.core.transport import Channel
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.host import program
from opsplay.engine.store_encrypt import Encryption, sums
from opsplay.engine.store_line import Line
from opsplay.engine.store_script import Saved
from opsplay.engine.store_survey import on_host
from opsplay.engine.store_upload import Announced, NotStored, Retried, Upload, curl_config
from opsplay.kit.clock import Clock

__all__ = ["Dialogue", "NotStored", "Retried", "curl_config"]

_MOST_SEGMENTS: Final = 100_000
_MOST_LOST: Final = 64 << 20
"""Bytes of names that a host may say it did not pack."""
_READY: Final = re.compile(
    rb"READY comp=(zstd|gzip) crypt=(age|php|none) send=(curl|php|none) tar=(gnu|php|words)\n"
)
_SEG: Final = re.compile(rb"SEG ([\w-]+) (\d+) (\d+) ([0-9a-f]{64})(?: ([0-9a-f]{32}))?\n")
_PIPE: Final = re.compile(
    rb"PIPE (?P<name>[\w-]+) src=(?P<src>\w+) tee=(?P<tee>\w+) comp=(?P<comp>[\w-]+)"
    rb" enc=(?P<enc>[\w-]+) bytes=(?P<bytes>\d+) sha256=(?P<sha256>[0-9a-f]{64})"
    rb" trailer=(?P<trailer>[-01])\n"
)
_LOST: Final = re.compile(rb"LOST (\d+)\n")
_BROKEN_PIPE: Final = "141"
_STAGES: Final = ("src", "tee", "comp", "enc")
_ENCRYPTIONS: Final = {"age": "age", "php": "php", "none": "controller"}


@dataclass
class Dialogue:
    """One backup's conversation with its host. Streams come in the order of `streams`."""

    channel: Channel
    vault: Vault
    site: str
    clock: Clock
    segment_bytes: int
    stored: Callable[[str, int], None]
    """(stream, bytes so far): called when a segment is confirmed."""
    retried: Retried
    settings: VaultSettings
    streams: tuple[Saved, ...]
    """As `host_script` was given them."""
    preflight: str = ""
    """Key of the trial whether the host reaches the storage; nothing is kept there."""
    barred: str = ""
    """Why an earlier conversation of this backup had to relay; then that is not tried again."""
    tools: dict[str, str] = field(default_factory=dict)
    """What the host has, by name: its version; and `upload`, `encryption`, `upload why`."""
    compression: Literal["zstd", "gzip"] = "gzip"
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Paths that a pack should hold and does not, by stream: they vanished, or may not be read."""

    def __post_init__(self) -> None:
        """Take the line, and the way into the vault that `greet` decides upon."""
        self._line = Line(self.channel, self.site)
        self.upload = Upload(self._line, self.vault, self.settings, self.clock, self.retried)
        self._began = self.clock.monotonic()

    def greet(self) -> None:
        """Read what the host is and has, decide how bytes travel, and give it what it needs.

        Raises:
            StepFailed: the host lacks what a backup needs.
        """
        while not (ready := _READY.fullmatch(line := self._line.heard())):
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            tool, _, version = rest.partition(" ")
            if word != "HOST":
                self._line.misheard(line)
            self.tools[tool] = version
        comp, crypt, send, tar = (part.decode() for part in ready.groups())
        self.compression = "zstd" if comp == "zstd" else "gzip"
        self._equip(crypt, send, tar)
        self.upload.decide(send, self.preflight, self.barred)
        self._decide_encryption(crypt)
        self._line.say(b"GO md5" if self.vault.checksum == "md5" else b"GO")
        self._began = self.clock.monotonic()

    def compression_of(self, name: str) -> Literal["zstd", "gzip", "none"]:
        """Return how a stream is compressed; known after `greet`."""
        return self.compression if self._saved(name).compressed else "none"

    def stream(
        self,
        name: str,
        kind: Literal["db", "files"],
        key: str,
        retain_until: datetime | None = None,
    ) -> Stream:
        """Keep one stream under `key` + `.NNNNN`; return it when every proof is right.

        Raises:
            StepFailed: a stage of the pipe failed, or the dump has no end.
            VaultRefused: a segment could not be stored.
            LineCut: the line broke; what was stored so far is never listed.
        """
        keep = _Segments(self, name, key, retain_until)
        if self.tools["encryption"] == "controller":
            segments = self._encrypted(keep)
        else:
            while announced := self._announced(keep):
                keep.add(self.upload.keep(announced))
            segments = tuple(keep.segments)
        now = self.clock.monotonic()
        seconds, self._began = now - self._began, now
        return self._judged(name, kind, segments, seconds)

    def farewell(self) -> None:
        """Make sure that the host went through to its end and cleaned up."""
        line = self._line.heard()
        answer = self.channel.finish(60)
        if line != b"DONE\n" or not answer.ok:
            status = answer.exit_status
            self._line.fail(f"the host ended with status {status}: {answer.stderr.strip()}")

    def stop(self) -> None:
        """Tell the host to clean up and end; a line that is gone tells it as well."""
        self._line.stop()

    def _saved(self, name: str) -> Saved:
        return next(one for one in self.streams if one.name == name)

    def _equip(self, crypt: str, send: str, tar: str) -> None:
        """Send lists of names, and programs in place of the tools that the host lacks."""
        lists = {f"list.{one.name}": one.list_of_names for one in self.streams if one.names}
        needed = {"age.php": crypt, "upload.php": send, "tar.php": tar if lists else ""}
        programs = {name: program(name).encode() for name, by in needed.items() if by == "php"}
        for name, body in {**lists, **programs}.items():
            self._line.say(b"FILE %s %d" % (name.encode(), len(body)), body)

    def _decide_encryption(self, crypt: str) -> None:
        self.tools["encryption"] = _ENCRYPTIONS[crypt]
        if crypt == "none" and self.settings.transport == "direct":
            self._line.fail(
                "this host has neither age nor PHP with libsodium, so its data would travel over"
                " our line to be encrypted here; the inventory's `transport: direct` forbids that"
            )
        if crypt == "none" and self.upload.way != "relay":
            self.upload.way = "relay"
            self.upload.why = "the host cannot encrypt: the data travels over SSH, encrypted here"
        self.tools["upload"] = self.upload.way
        if self.upload.why:
            self.tools["upload why"] = self.upload.why

    def _announced(self, keep: _Segments) -> Announced | None:
        """Return the next segment, or None at the stream's end."""
        line = self._line.heard()
        name, heard = keep.name.encode(), keep.heard
        if line == b"END %s %d\n" % (name, heard):
            return None
        found = _SEG.fullmatch(line)
        wanted = (name, heard)
        if not found or (found[1], int(found[2])) != wanted or heard >= _MOST_SEGMENTS:
            self._line.misheard(line)
        size = int(found[3])
        in_turn = keep.last_size in {0, self.segment_bytes}
        if not 0 < size <= self.segment_bytes or not in_turn:
            self._line.misheard(line)
        keep.heard, keep.last_size = heard + 1, size
        md5 = (found[5] or b"").decode()
        return Announced(keep.next_key, size, found[4].decode(), md5, keep.retain_until)

    def _encrypted(self, keep: _Segments) -> tuple[Segment, ...]:
        """Keep a stream that comes in plain over the host's line, encrypted by us."""
        encryption = Encryption(self.settings.recipients, self.segment_bytes)
        try:
            while announced := self._announced(keep):
                plain = self.upload.fetched(announced)
                self._line.say(b"SKIP")  # the host makes the next one meanwhile
                self._put_all(keep, encryption.feed(plain))
            self._put_all(keep, encryption.finish())
        finally:
            encryption.abandon()
        return tuple(keep.segments)

    def _put_all(self, keep: _Segments, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            sha256, md5 = sums(body, md5=self.vault.checksum == "md5")
            one = Announced(keep.next_key, len(body), sha256, md5, keep.retain_until)
            keep.add(self.upload.segment(one, self.upload.put(one, body)))

    def _judged(
        self, name: str, kind: Literal["db", "files"], segments: tuple[Segment, ...], seconds: float
    ) -> Stream:
        line = self._line.heard()
        found = _PIPE.fullmatch(line)
        if not found or found["name"] != name.encode():
            self._line.misheard(line)
        why = self._line.heard().decode(errors="replace").removeprefix("WHY").strip()
        self._read_lost(name)
        codes = {stage: found[stage].decode() for stage in _STAGES if found[stage] != b"-"}
        if any(code != "0" for code in codes.values()):
            blamed = self._blamed(name, codes)
            self._line.fail(f"backup of the {name}: {blamed}{': ' if why else ''}{why}")
        if found["trailer"] == b"0":
            self._line.fail(
                f"the dump of the {name} does not end with its own last line: it is cut off"
            )
        return Stream(
            name=name,
            type=kind,
            compression=self.compression_of(name),
            raw_bytes=int(found["bytes"]),
            raw_sha256=found["sha256"].decode(),
            exit_codes=_zeros(codes),
            trailer_ok={b"1": True}.get(found["trailer"]),
            segments=segments,
            seconds=round(seconds, 3),
        )

    def _read_lost(self, name: str) -> None:
        line = self._line.heard()
        found = _LOST.fullmatch(line)
        if not found or int(found[1]) > _MOST_LOST:
            self._line.misheard(line)
        packed = self._line.exactly(int(found[1]))
        if not packed:
            return
        try:
            told = zlib.decompressobj(31).decompress(packed, _MOST_LOST).split(b"\n")
        except zlib.error:
            self._line.misheard(line)
        lines = set(told) - {b""}
        self.lost[name] = tuple(
            path for path in self._saved(name).names if lines.intersection(_lines(path))
        )

    def _blamed(self, name: str, codes: Mapping[str, str]) -> str:
        """Return which stage failed: one that fails takes those before it along, never those after."""
        failed = {stage: code for stage, code in codes.items() if code != "0"}
        causes = {stage: code for stage, code in failed.items() if code != _BROKEN_PIPE}
        stage, code = list((causes or failed).items())[-1]
        called = {
            "src": "tar" if self._saved(name).names else "the dump",
            "tee": "the hashing of what passes",
            "comp": self.compression,
            "enc": "age" if self.tools["encryption"] == "age" else "the encryption by PHP",
        }
        return f"{called[stage]} ended with status {code}"


@dataclass
class _Segments:
    """What one stream has come to so far."""

    dialogue: Dialogue
    name: str
    key: str
    retain_until: datetime | None
    segments: list[Segment] = field(default_factory=list)
    heard: int = 0
    last_size: int = 0

    @property
    def next_key(self) -> str:
        return f"{self.key}.{len(self.segments):05d}"

    def add(self, segment: Segment) -> None:
        self.segments.append(segment)
        self.dialogue.stored(self.name, sum(one.bytes for one in self.segments))


def _lines(path: str) -> list[bytes]:
    """Return a path as it stands in a host's list of lines."""
    return [line.removesuffix(b"/") for line in on_host(path).split(b"\n")]


def _zeros(codes: Mapping[str, str]) -> Mapping[str, int]:
    return MappingProxyType({stage: int(code) for stage, code in codes.items()})
