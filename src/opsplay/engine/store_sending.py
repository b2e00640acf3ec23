"""Has a host send streams into the vault, and returns what the storage confirmed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from opsplay.core.errors import Interrupted, LineCut
from opsplay.core.event import Progress
from opsplay.core.site import Site
from opsplay.core.snapshot import Stream
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.store_dialogue import Dialogue, Retried
from opsplay.engine.store_naming import Naming
from opsplay.engine.store_script import Saved, host_script
from opsplay.kit.clock import Clock

DATABASE = "database"


@dataclass(frozen=True)
class Sending:
    """One attempt's way from the host into the vault."""

    site: Site
    transport: Transport
    vault: Vault
    settings: VaultSettings
    naming: Naming
    clock: Clock
    progress: Progress
    segment_bytes: int
    retried: Retried
    tools: dict[str, str] = field(default_factory=dict)
    """What the host has, as it last said; `os` as well."""
    lost: set[str] = field(default_factory=set)
    """Paths that a pack should hold and does not: they vanished, or may not be read."""
    stored: dict[str, int] = field(default_factory=dict)
    """Bytes that are in the vault by now, by stream."""
    lane: int = 0
    """Which of several conversations that go on beside one another."""
    failed: threading.Event = field(default_factory=threading.Event)
    """One of them could not be held to its end."""

    def send_beside(
        self, lanes: Sequence[tuple[Saved, ...]], retain_until: datetime | None
    ) -> tuple[Stream, ...]:
        """Return the streams of all lanes, which travel at the same time. Raises as `send`.

        A storage takes a while for each segment, in which one lane alone would wait for it.
        """
        if len(lanes) == 1:
            return self.send(lanes[0], retain_until)
        one_at_a_time = threading.Lock()

        def retried(error: str, attempt: int, seconds: float) -> None:
            with one_at_a_time:
                self.retried(error, attempt, seconds)

        def progress(site: str, what: str, done: float, total: float) -> None:
            with one_at_a_time:
                self.progress(site, what, done, total)

        rate = -(-self.settings.limit_rate // len(lanes))
        settings = replace(self.settings, limit_rate=rate)
        own = replace(self, settings=settings, retried=retried, progress=progress)

        def sent(number: int, lane: tuple[Saved, ...]) -> tuple[Stream, ...]:
            try:
                return replace(own, lane=number).send(lane, retain_until)
            except BaseException:
                self.failed.set()
                raise

        with ThreadPoolExecutor(len(lanes)) as pool:
            under_way = [pool.submit(sent, number, lane) for number, lane in enumerate(lanes)]
        errors = [error for one in under_way if (error := one.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, _OtherLaneFailed)):
            raise error
        return tuple(stream for one in under_way for stream in one.result())

    def send(self, saved: tuple[Saved, ...], retain_until: datetime | None) -> tuple[Stream, ...]:
        """Return the streams, all proofs right; the host's side has ended in any case.

        Raises:
            StepFailed: a stage of the host's pipe failed.
            StorageUnreachable, VaultRefused: the storage.
            LineCut: the line broke.
        """
        if not saved:
            return ()
        dialogue = self._dialogue(saved)
        try:
            dialogue.greet()
            streams = tuple(self._stream(dialogue, one, retain_until) for one in saved)
            dialogue.farewell()
        except LineCut:
            raise
        except BaseException:
            dialogue.stop()
            raise
        finally:
            dialogue.channel.close()
        self.tools.update(dialogue.tools)
        self.lost.update(path for paths in dialogue.lost.values() for path in paths)
        return streams

    def _stream(self, dialogue: Dialogue, one: Saved, retain_until: datetime | None) -> Stream:
        kind: Literal["db", "files"] = "db" if one.name == DATABASE else "files"
        key = self.naming.stream(one.name, dialogue.compression_of(one.name))
        return dialogue.stream(one.name, kind, key, retain_until)

    def _dialogue(self, saved: tuple[Saved, ...]) -> Dialogue:
        script = host_script(
            saved,
            spool=f"{self.site.name}@{self.site.here.name}{f'+{self.lane}' if self.lane else ''}",
            recipients=self.settings.recipients,
            segment_bytes=self.segment_bytes,
            limit_rate=self.settings.limit_rate,
        )
        tried = "upload" in self.tools
        return Dialogue(
            channel=self.transport.open(script),
            vault=self.vault,
            site=self.site.name,
            clock=self.clock,
            segment_bytes=self.segment_bytes,
            stored=self._show,
            retried=self.retried,
            settings=self.settings,
            streams=saved,
            preflight="" if tried else self.naming.preflight,
            barred=self.tools.get("upload why", ""),
        )

    def _show(self, stream: str, size: int) -> None:
        """Tell of a segment that is stored now; all packs count as one thing."""
        if self.failed.is_set():
            raise _OtherLaneFailed("another pack could not be stored", site=self.site.name)
        self.stored[stream] = size
        of_database = stream == DATABASE
        sizes = (
            size for name, size in tuple(self.stored.items()) if (name == DATABASE) == of_database
        )
        part = DATABASE if of_database else "files"
        self.progress(self.site.name, f"backup of the {part}", float(sum(sizes)), 0.0)


class _OtherLaneFailed(Interrupted):
    """What was sent beside it failed: this is not the reason."""
