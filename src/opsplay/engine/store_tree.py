"""Saves a site's files: what changed into packs, the rest by naming the packs that hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from opsplay.core.action import Store
from opsplay.core.snapshot import Consistency, FileIndex, Stream
from opsplay.engine.store_files import Files, Looking, files, packed
from opsplay.engine.store_last import Indexes, Last
from opsplay.engine.store_packs import Pack, lanes
from opsplay.engine.store_script import Saved
from opsplay.engine.store_seal import store_index
from opsplay.engine.store_sending import Sending
from opsplay.engine.store_suspect import Budget, budget_reasons, packing_reasons


@dataclass(frozen=True)
class Locks:
    """Until when the storage is to refuse to delete objects; None: they are not locked."""

    others: datetime | None
    packs: datetime | None
    """Of packs, which later backups of the month may need."""


@dataclass(frozen=True)
class SavedFiles:
    """The files of a snapshot, all of them in the vault."""

    streams: tuple[Stream, ...]
    """Every pack that a restore needs: own ones first."""
    index: FileIndex
    consistency: Consistency
    suspect: tuple[str, ...]


def save_files(
    store: Store,
    sending: Sending,
    last: Last,
    locks: Locks,
    indexes: Indexes | None,
    pack_bytes: int,
    cms_version: Callable[[], str],
) -> SavedFiles:
    """Save the files and return what the manifest says of them. Raises as `store.take`."""
    looking = Looking(sending.site, sending.transport, store.exclude)
    found = files(looking, last, sending.clock.now(), pack_bytes)
    own = _send(found, sending, locks.packs)
    names = {pack.number: stream.pack for pack, stream in zip(found.packs, own, strict=True)}
    done = packed(found, names, frozenset(sending.lost), looking, sending.clock)
    inherited = last.inherited(done.listed.packs)
    index = store_index(
        done.listed,
        found.changes,
        sending.naming.index,
        vault=sending.vault,
        settings=sending.settings,
        retain_until=locks.others,
        indexes=indexes,
    )
    suspect = _suspect(found, own, cms_version())
    return SavedFiles((*own, *inherited), index, done.consistency, suspect)


def _send(found: Files, sending: Sending, retain_until: datetime | None) -> tuple[Stream, ...]:
    """Return the streams of all packs, in the order of the packs."""
    if not found.packs:
        return ()
    root = sending.site.here.root
    rows = [tuple(_saved(pack, root) for pack in row) for row in lanes(found.packs)]
    made = {stream.name: stream for stream in sending.send_beside(rows, retain_until)}
    return tuple(made[pack.name] for pack in found.packs)


def _saved(pack: Pack, root: str) -> Saved:
    names = tuple(entry.path for entry in pack.entries)
    return Saved(pack.name, names=names, root=root, compressed=pack.compress)


def _suspect(found: Files, own: tuple[Stream, ...], cms_version: str) -> tuple[str, ...]:
    compared = found.last.compared
    if compared is None:
        return ()
    known = {cms_version, compared.cms.version} - {""}
    budget = Budget(found.last.entries, found.compared, same_version=len(known) < 2)  # noqa: PLR2004
    packs = zip(found.packs, own, strict=True)
    return (*budget_reasons(budget), *packing_reasons(packs, found.compared))
