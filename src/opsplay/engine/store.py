"""Take a backup: the database, then what changed of the files, confirmed piece by piece, then sealed.

The manifest is the last object written. What has no manifest is not a backup and is never listed.
The files are looked at after the dump was taken: a file that a row names is then in the backup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType

from opsplay import __version__
from opsplay.core.action import Store
from opsplay.core.errors import InvalidInput
from opsplay.core.event import Progress
from opsplay.core.retention import Plan, locked_until, plan_named
from opsplay.core.site import Site
from opsplay.core.snapshot import (
    CmsFacts,
    Consistency,
    HostFacts,
    Recipient,
    Snapshot,
    Source,
    Stream,
)
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.signature import Signer
from opsplay.engine.store_dialogue import Retried
from opsplay.engine.store_last import Indexes, Last, Search
from opsplay.engine.store_naming import Naming
from opsplay.engine.store_packs import PACK_BYTES
from opsplay.engine.store_script import BLOCK, Saved
from opsplay.engine.store_seal import loose_ends, seal
from opsplay.engine.store_sending import DATABASE, Sending
from opsplay.engine.store_tree import Locks, SavedFiles, save_files
from opsplay.engine.trust import Trust
from opsplay.engine.watermarks import over_the_dump
from opsplay.kit.clock import Clock

SEGMENT_BYTES = 32 << 20
_ORDER = (DATABASE, "files")
_QUESTIONS = 2
"""How many a host is asked beside a backup."""


def take(  # noqa: PLR0913  # what a backup needs to know, each by its name
    store: Store,
    site: Site,
    transport: Transport,
    vault: Vault,
    settings: VaultSettings,
    *,
    run: str,
    attempt: int,
    clock: Clock,
    progress: Progress,
    segment_bytes: int = SEGMENT_BYTES,
    retried: Retried = lambda _error, _attempt, _wait: None,
    cms_version: Callable[[], str] = str,
    plan: str = "",
    indexes: Indexes | None = None,
    watermarks: Callable[[], Mapping[str, str]] = dict,
    signer: Signer | None = None,
    trust: Trust | None = None,
    pack_bytes: int = PACK_BYTES,
) -> Snapshot:
    """Back the site's environment up and return the sealed snapshot.

    `plan` names the maintenance plan that the locks are chosen by; empty: the site's. `indexes` is
    where the controller keeps the last indexes of files. `cms_version` asks the host, and so does
    `watermarks`: how far the shop is, right before and right after the dump. Both are called in
    threads of their own, beside what need not wait for them. `signer` signs the manifest; None: nobody does.
    `trust` decides on which earlier backups this one may stand; None: on any, as nobody signs.

    Raises:
        InvalidInput: nobody is named who could decrypt, or nothing to save.
        StepFailed: a stage of the host's pipe failed; nothing was sealed.
        Unreachable, VaultRefused: the storage; nothing was sealed.
        LineCut: the line broke; nothing was sealed. Try again with the next `attempt`.
    """
    _check(store, settings, segment_bytes)
    naming = Naming(site.name, run, attempt, clock.now())
    trust = trust or Trust((), naming.started)
    beside = ThreadPoolExecutor(_QUESTIONS)
    try:
        version = beside.submit(cms_version)
        before = beside.submit(watermarks) if DATABASE in store.include else None
        last = Search(store, site, vault, settings, naming, trust, indexes).last()
        rules = plan_named(plan or site.plan, site.keep_years)
        locks = _locks(settings, rules, store, naming, last)
        sending = Sending(
            site, transport, vault, settings, naming, clock, progress, segment_bytes, retried
        )
        marks = before.result() if before else {}
        database = sending.send(_dump(store, site), locks.others)
        after = beside.submit(watermarks) if marks else None
        saved = None
        if "files" in store.include:
            saved = save_files(store, sending, last, locks, indexes, pack_bytes, version.result)
        cms = CmsFacts(site.cms_name, site.here.url, version.result())
        marks = over_the_dump(marks, after.result()) if after else marks
    finally:
        beside.shutdown(wait=False, cancel_futures=True)
    whole = _manifest(store, sending, database, saved, last, cms)
    previous, *joins = loose_ends(vault, whole, trust) or ("",)
    snapshot = replace(
        whole,
        consistency=_consistency(whole, marks),
        plan=rules.name,
        sealed_at=clock.now(),
        previous_snap_sha256=previous,
        joins=tuple(joins),
    )
    seal(vault, snapshot, settings, signer, locks.others)
    return snapshot


def _check(store: Store, settings: VaultSettings, segment_bytes: int) -> None:
    unknown = sorted(set(store.include) - set(_ORDER))
    if unknown or not store.include:
        raise InvalidInput(f"a backup includes `database` and `files`, not {unknown or 'nothing'}")
    if not settings.recipients:
        raise InvalidInput(
            f"vault {settings.name} names no `recipients`: nobody could decrypt the backup",
            next_command="age-keygen -o opsplay.key",
        )
    if segment_bytes <= 0 or segment_bytes % BLOCK:
        raise InvalidInput(f"a segment is a multiple of {BLOCK} bytes, not {segment_bytes}")


def _locks(settings: VaultSettings, rules: Plan, store: Store, naming: Naming, last: Last) -> Locks:
    """Return until when the storage is to refuse to delete what this backup stores."""
    if settings.lock == "none":
        return Locks(None, None)
    full = "files" in store.include and last.base is None and last.first
    return Locks(
        others=locked_until(rules, naming.started, full=full),
        packs=locked_until(rules, naming.started, full=full, packs=True),
    )


def _dump(store: Store, site: Site) -> tuple[Saved, ...]:
    if DATABASE not in store.include:
        return ()
    return (Saved(DATABASE, site.cms.dump_database(), has_trailer=True),)


def _manifest(
    store: Store,
    sending: Sending,
    database: tuple[Stream, ...],
    saved: SavedFiles | None,
    last: Last,
    cms: CmsFacts,
) -> Snapshot:
    """Return the manifest but for what is known only when it is sealed."""
    site, naming = sending.site, sending.naming
    streams = (*database, *(saved.streams if saved else ()))
    return Snapshot(
        site=site.name,
        environment=site.here.name,
        snap=naming.snap,
        chain=naming.chain,
        kind="incr" if last.base else "full",
        run_id=naming.run,
        tool_version=__version__,
        started_at=naming.started,
        sealed_at=naming.started,
        host=_host_facts(sending, last),
        cms=cms,
        source=Source(site.here.root, store.exclude),
        recipients=tuple(Recipient(one) for one in sending.settings.recipients),
        streams=streams,
        restore_order=tuple(stream.name for stream in streams),
        previous_snap_sha256="",
        label=store.label,
        attempt=naming.attempt,
        base=tuple(sorted({stream.snap for stream in streams if stream.snap})),
        index=saved.index if saved else None,
        consistency=saved.consistency if saved else None,
        suspect=saved.suspect if saved else (),
        full_because=last.full_because,
    )


def _host_facts(sending: Sending, last: Last) -> HostFacts:
    """Return what made the backup; where nothing had to be sent, what the last one knew of it."""
    known = sending.tools
    if not known and last.base:
        known = {"os": last.base.host.os, **last.base.host.tools}
    tools = {name: version for name, version in known.items() if name != "os"}
    return HostFacts(str(sending.site.here.host), known.get("os", ""), tools)


def _consistency(whole: Snapshot, marks: Mapping[str, str]) -> Consistency | None:
    if not marks:
        return whole.consistency
    seen = whole.consistency or Consistency(whole.started_at, whole.started_at)
    return replace(seen, watermarks=MappingProxyType(dict(marks)))
