"""What a new backup can stand on: the last good one of the month, and its index of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

from opsplay.core import index
from opsplay.core.action import Store
from opsplay.core.errors import InvalidInput, UnreadableAnswer, VaultRefused
from opsplay.core.index import Entry
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot, Source, Stream
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.snapshots import index_text, manifests
from opsplay.engine.store_naming import Naming
from opsplay.engine.trust import Trust

_NOTHING: Mapping[str, Entry] = MappingProxyType({})


class Indexes(Protocol):
    """Where the controller keeps the last indexes of files: it need not be able to decrypt."""

    def load(self, raw_sha256: str) -> bytes | None:
        """Return the text of an index by its SHA-256, None if it is not here."""
        ...

    def save(self, raw_sha256: str, text: bytes) -> None:
        """Keep the text of an index."""
        ...


@dataclass(frozen=True)
class Last:
    """The last good backup of an environment's files, as far as it is of use."""

    base: Snapshot | None = None
    """What the new one stands on; None: the new one is full."""
    compared: Snapshot | None = None
    """What the new one is compared with, to see whether it looks like damage: the base, or the
    last of an earlier month."""
    entries: Mapping[str, Entry] = field(default_factory=lambda: _NOTHING)
    """The files of `compared`, by path."""
    full_because: str = ""
    first: bool = True
    """Whether this month has no good backup of these files yet."""

    @property
    def known(self) -> Mapping[str, Entry]:
        """Return the files whose packs may serve on."""
        return self.entries if self.base else _NOTHING

    def inherited(self, packs: set[str]) -> tuple[Stream, ...]:
        """Return the earlier packs of these names, as the new manifest names them."""
        if self.base is None:
            return ()
        files = (stream for stream in self.base.streams if stream.type == "files")
        return tuple(_by(self.base, one) for one in files if one.pack in packs)


@dataclass(frozen=True)
class Search:
    """Looks for what a new backup can stand on."""

    store: Store
    site: Site
    vault: Vault
    settings: VaultSettings
    naming: Naming
    trust: Trust
    """Decides which manifests count: what a stranger may have stored is stood on by nothing."""
    indexes: Indexes | None = None

    def last(self) -> Last:
        """Return the last good backup of these files.

        Raises:
            StorageUnreachable, VaultRefused: the storage.
        """
        if "files" not in self.store.include:
            return Last()
        newest = self._newest(self.naming.chain)
        if self.store.full:
            return Last(full_because="the backup step says `full: true`", first=newest is None)
        if newest is None:
            return self._of_an_earlier_month()
        known, why = self._entries(newest)
        why = why or self._unusable(newest)
        return Last(None if why else newest, newest if known else None, known, why, first=False)

    def _of_an_earlier_month(self) -> Last:
        """Return what the first full backup of a month is compared with, if it is at hand."""
        why = f"it is the first of {self.naming.chain} with these files"
        one = self._newest()
        if one is None:
            return Last(full_because=why)
        known, _ = self._entries(one)
        return Last(None, one if known else None, known, why)

    def _newest(self, chain: str = "") -> Snapshot | None:
        listed = manifests(self.vault, self.site.name, chain)
        found = self.trust.newest(self.vault, listed, self._same_files)
        return found.snapshot if found else None

    def _same_files(self, one: Snapshot) -> bool:
        here = self.site.here
        wanted = (here.name, Source(here.root, self.store.exclude))
        return bool(one.index) and (one.environment, one.source) == wanted

    def _unusable(self, one: Snapshot) -> str:
        """Return why nothing may be built on it; empty: it is whole, as far as a listing shows."""
        if {each.age_recipient for each in one.recipients} != set(self.settings.recipients):
            return "its keys (`recipients`) are others than before"
        prefix = f"{one.folder}/pack/"
        held = {found.key: found.bytes for found in self.vault.keys(prefix)}
        packs = [stream for stream in one.streams if stream.type == "files"]
        lost = [
            segment.key
            for stream in packs
            for segment in stream.segments
            if held.get(segment.key) != segment.bytes
        ]
        if lost:
            return f"{len(lost)} pieces of earlier packs are missing, such as {lost[0]}"
        return ""

    def _entries(self, one: Snapshot) -> tuple[Mapping[str, Entry], str]:
        """Return the index of a snapshot by path; empty and the reason if it cannot be had."""
        try:
            text = self._text(one)
            return index.Index(text, one.key), ""
        except InvalidInput:
            return _NOTHING, "the last index of files is not on this machine, nor is an identity"
        except (UnreadableAnswer, VaultRefused) as error:
            return _NOTHING, f"the last index of files cannot be read: {error.what}"

    def _text(self, one: Snapshot) -> bytes:
        wanted = one.index.raw_sha256 if one.index else ""
        text = self.indexes.load(wanted) if self.indexes else None
        if text is not None and index.sha256(text) == wanted:
            return text
        return index_text(self.vault, one, self.settings)


def _by(maker: Snapshot, stream: Stream) -> Stream:
    """Return a stream as later manifests name it."""
    if stream.snap:
        return stream
    return replace(stream, snap=maker.snap, name=f"{maker.snap}/{stream.name}")
