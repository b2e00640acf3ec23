"""Has a host send streams into the vault, and returns what the storage confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from opsplay.core.errors import LineCut
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
            spool=f"{self.site.name}@{self.site.here.name}",
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
            stored=_shown(self.progress, self.site.name),
            retried=self.retried,
            settings=self.settings,
            streams=saved,
            preflight="" if tried else self.naming.preflight,
            barred=self.tools.get("upload why", ""),
        )


def _shown(progress: Progress, site: str) -> Callable[[str, int], None]:
    """Return what tells of each stored segment; the packs count as one thing."""
    done: dict[str, int] = {}

    def stored(stream: str, size: int) -> None:
        done[stream] = size
        part = DATABASE if stream == DATABASE else "files"
        so_far = sum(
            size for name, size in done.items() if (name == DATABASE) == (part == DATABASE)
        )
        progress(site, f"backup of the {part}", float(so_far), 0.0)

    return stored
