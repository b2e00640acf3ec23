"""The controller's half of a backup: name, sign and confirm each segment the host announces.

The host's word never counts: a segment is kept when the storage itself says its size and SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NoReturn

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from opsplay.core.errors import LineCut, StepFailed, UnreadableAnswer, VaultRefused
from opsplay.core.snapshot import Segment, Stream
from opsplay.core.transport import Channel
from opsplay.core.vault import SignedPut, StoredObject, Vault
from opsplay.kit.clock import Clock

Retried = Callable[[str, int, float], None]
"""(error, attempt, seconds until the next): called before each new try, so that it is seen."""

_SECONDS_PER_PUT = 900
_PUT_ATTEMPTS = 10
_MOST_SEGMENTS = 100_000
_SEG = re.compile(rb"SEG (\w+) (\d+) (\d+) ([0-9a-f]{64})\n")
_RES = re.compile(rb"RES \d+ (\d+) (\d+) (\S+) ?(.*)\n")
_PIPE = re.compile(
    rb"PIPE (?P<name>\w+) src=(?P<src>\w+) tee=(?P<tee>\w+) comp=(?P<comp>\w+) enc=(?P<enc>\w+)"
    rb" bytes=(?P<bytes>\d+) sha256=(?P<sha256>[0-9a-f]{64}) trailer=(?P<trailer>[-01])\n"
)
_BROKEN_PIPE = 141
_STAGES = {"src": "what makes the data", "tee": "tee", "comp": "the compressor", "enc": "age"}


class NotStored(VaultRefused):
    """A segment did not arrive; worth another try with a new URL."""


@dataclass
class Dialogue:
    """One backup's conversation with its host."""

    channel: Channel
    vault: Vault
    site: str
    clock: Clock
    segment_bytes: int
    stored: Callable[[str, int], None]
    """(stream, bytes so far): called when a segment is confirmed."""
    retried: Retried
    tools: dict[str, str] = field(default_factory=dict)
    compression: Literal["zstd", "gzip"] = "gzip"

    def greet(self) -> None:
        """Read what the host is and has."""
        while not (line := self._line()).startswith(b"COMP "):
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            tool, _, version = rest.partition(" ")
            if word != "HOST":
                self._misheard(line)
            self.tools[tool] = version
        self.compression = "zstd" if line == b"COMP zstd\n" else "gzip"

    def stream(self, name: str, kind: Literal["db", "files"], key: str) -> Stream:
        """Keep one stream under `key` + `.NNNNN`; return it when every proof is right.

        Raises:
            StepFailed: a stage of the pipe failed, or the dump has no end.
            VaultRefused: a segment could not be stored.
            LineCut: the line broke; what was stored so far is never listed.
        """
        segments: list[Segment] = []
        while (line := self._line()) != b"END %s %d\n" % (name.encode(), len(segments)):
            size, sha256 = self._announced(line, name, segments)
            where = f"{key}.{len(segments):05d}"
            segments.append(self._keep(where, size, sha256))
            self.stored(name, sum(segment.bytes for segment in segments))
        return self._judged(name, kind, tuple(segments))

    def farewell(self) -> None:
        """Make sure that the host went through to its end and cleaned up."""
        line = self._line()
        answer = self.channel.finish(60)
        if line != b"DONE\n" or not answer.ok:
            self._fail(f"the host ended with status {answer.exit_status}: {answer.stderr.strip()}")

    def stop(self) -> None:
        """Tell the host to clean up and end; a line that is gone tells it as well."""
        try:
            self._say(b"STOP")
            self.channel.send_eof()
            self.channel.finish(20)
        except (LineCut, BrokenPipeError, TimeoutError):
            return  # the host ends by itself when nobody answers

    def _announced(self, line: bytes, name: str, segments: list[Segment]) -> tuple[int, str]:
        found = _SEG.fullmatch(line)
        expected = (name.encode(), len(segments))
        if not found or (found[1], int(found[2])) != expected or len(segments) >= _MOST_SEGMENTS:
            self._misheard(line)
        size = int(found[3])
        if not 0 < size <= self.segment_bytes:
            self._misheard(line)
        if segments and segments[-1].bytes != self.segment_bytes:
            self._misheard(line)
        return size, found[4].decode()

    def _keep(self, key: str, size: int, sha256: str) -> Segment:
        if self.vault.signs and self.tools.get("curl") and self.tools.get("base64"):
            found = self._sent_by_host(key, size, sha256)
        else:
            found = self._relayed(key, size, sha256)
        self._say(b"SKIP")
        return Segment(key, found.bytes, found.sha256, found.version_id)

    def _relayed(self, key: str, size: int, sha256: str) -> StoredObject:
        self._say(b"RELAY")
        parts: list[bytes] = []
        missing = size
        while missing and (part := self.channel.receive(min(missing, 1 << 16))):
            parts.append(part)
            missing -= len(part)
        body = b"".join(parts)
        if hashlib.sha256(body).hexdigest() != sha256:
            self._fail(f"{key}: the bytes that came over the line are not those announced")
        self.vault.put(key, body)
        return self._confirmed(key, size, sha256, "put, yet the storage does not show it")

    def _sent_by_host(self, key: str, size: int, sha256: str) -> StoredObject:
        def seen(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.retried(str(error), state.attempt_number, state.upcoming_sleep)

        retrying = Retrying(
            retry=retry_if_exception_type(NotStored),
            stop=stop_after_attempt(_PUT_ATTEMPTS),
            wait=wait_exponential(multiplier=0.2, max=20) + wait_random(0, 0.3),
            sleep=self.clock.sleep,
            before_sleep=seen,
            reraise=True,
        )
        return retrying(self._send_once, key, size, sha256)

    def _send_once(self, key: str, size: int, sha256: str) -> StoredObject:
        signed = self.vault.sign_put(key, sha256, size, _SECONDS_PER_PUT)
        self._say(b"PUT " + base64.b64encode(curl_config(signed).encode()))
        line = self._line()
        result = _RES.fullmatch(line)
        if not result:
            self._misheard(line)
        why = _why(result)
        if result[2] == b"403":
            raise VaultRefused(f"vault {self.vault.name} refused {key}: {why}", site=self.site)
        return self._confirmed(key, size, sha256, why)

    def _confirmed(self, key: str, size: int, sha256: str, why: str) -> StoredObject:
        """Return what the storage says it holds; whatever the host said (a reply may be lost)."""
        found = self.vault.head(key)
        if found is None:
            raise NotStored(f"{key} is not in vault {self.vault.name}: {why}", site=self.site)
        if (found.bytes, found.sha256) != (size, sha256):
            said = f"{found.bytes} bytes, SHA-256 {found.sha256 or 'not told'}"
            raise VaultRefused(
                f"vault {self.vault.name} holds something else under {key} ({said})",
                site=self.site,
                state="no backup was sealed by this attempt",
            )
        return found

    def _judged(
        self, name: str, kind: Literal["db", "files"], segments: tuple[Segment, ...]
    ) -> Stream:
        line = self._line()
        found = _PIPE.fullmatch(line)
        why = self._line().decode(errors="replace").removeprefix("WHY").strip()
        if not found or found["name"] != name.encode():
            self._misheard(line)
        codes = {stage: found[stage].decode() for stage in _STAGES}
        if any(code != "0" for code in codes.values()):
            self._fail(f"backup of the {name}: {_blamed(codes)}{': ' if why else ''}{why}")
        if found["trailer"] == b"0":
            self._fail(f"the dump of the {name} does not end with its own last line: it is cut off")
        return Stream(
            name=name,
            type=kind,
            compression=self.compression,
            raw_bytes=int(found["bytes"]),
            raw_sha256=found["sha256"].decode(),
            exit_codes=_zeros(codes),
            trailer_ok={b"1": True}.get(found["trailer"]),
            segments=segments,
        )

    def _say(self, line: bytes) -> None:
        try:
            self.channel.send(line + b"\n")
        except BrokenPipeError:
            self._ended()

    def _line(self) -> bytes:
        line = self.channel.receive_line()
        if line.startswith(b"ABORT "):
            self._fail(line[6:].decode(errors="replace").strip())
        if not line.endswith(b"\n"):
            self._ended()
        return line

    def _ended(self) -> NoReturn:
        answer = self.channel.finish(30)
        said = answer.stderr.strip().splitlines()[-3:]
        self._fail(f"the host's side ended early, status {answer.exit_status}: {' '.join(said)}")

    def _misheard(self, line: bytes) -> NoReturn:
        raise UnreadableAnswer(
            f"the host said {line[:200]!r} in the middle of a backup",
            site=self.site,
            state="no backup was sealed by this attempt",
        )

    def _fail(self, what: str) -> NoReturn:
        raise StepFailed(what, site=self.site, state="no backup was sealed by this attempt")


def curl_config(signed: SignedPut) -> str:
    """Return what curl reads on its standard input, so that no argument list shows the URL.

    curl writes Content-Length by itself, from the file.
    """
    headers = [f"{name}: {value}" for name, value in signed.headers if name != "Content-Length"]
    lines = [f'url = "{signed.url}"', *(f'header = "{one}"' for one in (*headers, "Expect:"))]
    limits = ("globoff", "connect-timeout = 15", f"max-time = {_SECONDS_PER_PUT - 30}")
    stall = ("speed-limit = 1024", "speed-time = 30")
    return "\n".join([*lines, *limits, *stall, ""])


def _why(result: re.Match[bytes]) -> str:
    status, http, code, text = (part.decode(errors="replace") for part in result.groups())
    return text if status != "0" else f"HTTP {http}{'' if code == '-' else f' {code}'}"


def _blamed(codes: Mapping[str, str]) -> str:
    """Return which stage failed first: those that died of a broken pipe are not to blame."""
    failed = {stage: code for stage, code in codes.items() if code != "0"}
    causes = {stage: code for stage, code in failed.items() if code != str(_BROKEN_PIPE)}
    stage, code = next(iter((causes or failed).items()))
    return f"{_STAGES[stage]} ended with status {code}"


def _zeros(codes: Mapping[str, str]) -> Mapping[str, int]:
    return MappingProxyType({stage: int(code) for stage, code in codes.items()})
