"""One stream on its way back: fetch a segment, prove it, decrypt it, send it. Bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from opsplay.core.errors import InvalidInput, OpsplayError, Unreachable, VaultRefused
from opsplay.core.event import Progress
from opsplay.core.snapshot import Segment, Stream
from opsplay.core.transport import Channel
from opsplay.core.vault import Vault, VaultSettings
from opsplay.kit.clock import Clock

_FETCH_ATTEMPTS = 4
_SEND_BYTES = 1 << 18


def identities(settings: VaultSettings) -> tuple[object, ...]:
    """Return the age identities that may decrypt this vault's backups.

    Raises:
        InvalidInput: none is configured, or it is not an age identity.
    """
    import pyrage  # type: ignore[import-untyped]  # ships no types

    known = settings.identity
    lines = known.reveal().splitlines() if known else []
    words = [line.strip() for line in lines if line.strip().startswith("AGE-SECRET-KEY-")]
    try:
        found = tuple(pyrage.x25519.Identity.from_str(word) for word in words)
    except pyrage.IdentityError as error:
        raise InvalidInput(f"vault {settings.name}: `identity` cannot be read: {error}") from error
    if not found:
        raise InvalidInput(
            f"vault {settings.name} has no `identity` that begins with AGE-SECRET-KEY-1",
            next_command="set `identity: file:PATH` of the age key in the inventory's vault",
        )
    return found


class Plaintext:
    """A stream's decrypted, still compressed bytes; at most one segment is held in memory."""

    def __init__(
        self, vault: Vault, stream: Stream, site: str, clock: Clock, progress: Progress
    ) -> None:
        self.stream = stream
        self._vault = vault
        self._site = site
        self._clock = clock
        self._progress = progress

    def send_to(self, channel: Channel, keys: tuple[object, ...]) -> None:
        """Decrypt into the channel.

        Raises:
            VaultRefused: a segment is not what the manifest says, or no identity fits.
            Unreachable: the storage did not answer, again and again.
            LineCut, BrokenPipeError: the channel.
        """
        import pyrage

        source, target = _Source(self._proved()), _Target(channel)
        try:
            pyrage.decrypt_io(source, target, list(keys))
            target.flush()
        except (pyrage.DecryptError, OSError) as error:
            raise source.failure or target.failure or self._locked(error) from error

    def _locked(self, error: Exception) -> OpsplayError:
        return VaultRefused(
            f"the {self.stream.name} of the backup cannot be decrypted: {error}",
            site=self._site,
            next_command="check `identity` of the vault: it must belong to one of the recipients",
        )

    def _proved(self) -> Iterator[bytearray]:
        done, total = 0, self.stream.stored_bytes
        retrying = Retrying(
            retry=retry_if_exception_type(Unreachable),
            stop=stop_after_attempt(_FETCH_ATTEMPTS),
            wait=wait_exponential(multiplier=0.5, max=10) + wait_random(0, 0.5),
            sleep=self._clock.sleep,
            reraise=True,
        )
        for segment in self.stream.segments:
            yield retrying(self._fetched, segment)
            done += segment.bytes
            what = f"restore of the {self.stream.name}"
            self._progress(self._site, what, float(done), float(total))

    def _fetched(self, segment: Segment) -> bytearray:
        body = bytearray()
        for part in self._vault.get(segment.key):
            body += part
        if hashlib.sha256(body).hexdigest() != segment.sha256:
            raise VaultRefused(
                f"{segment.key} is damaged: its SHA-256 is not the manifest's", site=self._site
            )
        return body


class _Source:
    """What age reads from. Keeps the error that age would hide."""

    def __init__(self, parts: Iterator[bytearray]) -> None:
        self._parts = parts
        self._rest = memoryview(b"")
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = memoryview(b"")  # lets go of the segment before the next is fetched
            self._rest = memoryview(self._next())
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def _next(self) -> bytes | bytearray:
        try:
            return next(self._parts, b"")
        except Exception as error:
            self.failure = error
            raise


class _Target:
    """What age writes to: gathers its small pieces into larger ones for the line."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._gathered = bytearray()
        self.failure: Exception | None = None

    def write(self, piece: bytes) -> int:
        self._gathered += piece
        if len(self._gathered) >= _SEND_BYTES:
            self.flush()
        return len(piece)

    def flush(self) -> None:
        whole, self._gathered = bytes(self._gathered), bytearray()
        try:
            self._channel.send(whole)
        except Exception as error:
            self.failure = error
            raise
