"""Take a backup: the host's streams into the vault, confirmed segment by segment, then sealed.

The manifest is the last object written. What has no manifest is not a backup and is never listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from opsplay import __version__
from opsplay.core.action import Store
from opsplay.core.errors import InvalidInput, LineCut
from opsplay.core.event import Progress
from opsplay.core.site import Site
from opsplay.core.snapshot import (
    CmsFacts,
    HostFacts,
    Recipient,
    Snapshot,
    Source,
    Stream,
    site_prefix,
    to_json,
)
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.snapshots import manifest_keys, text
from opsplay.engine.store_dialogue import Dialogue, Retried
from opsplay.engine.store_readme import readme
from opsplay.engine.store_script import BLOCK, Saved, host_script
from opsplay.kit.clock import Clock

SEGMENT_BYTES = 16 << 20
_KINDS: dict[str, Literal["db", "files"]] = {"database": "db", "files": "files"}
_ORDER = ("database", "files")
"""The database first: a file that a row names is then in the backup."""


@dataclass(frozen=True)
class _Naming:
    """Where the parts of one attempt go. Nothing is ever overwritten: an attempt has own keys."""

    site: str
    run: str
    attempt: int
    started: datetime

    @property
    def chain(self) -> str:
        return f"{self.started:%Y-%m}"

    @property
    def snap(self) -> str:
        return f"{self.started:%Y%m%dT%H%M%S}-{self.run.rpartition('-')[2]}"

    def stream(self, name: str, compression: str) -> str:
        ending = f"{'zst' if compression == 'zstd' else 'gz'}.age"
        folder = f"{site_prefix(self.site)}{self.chain}"
        if name == "database":
            return f"{folder}/db/{self.snap}-database-{self.attempt}.sql.{ending}"
        return f"{folder}/pack/{self.snap}-00-{self.attempt}.tar.{ending}"


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
    cms_version: str = "",
) -> Snapshot:
    """Back the site's environment up and return the sealed snapshot.

    Raises:
        InvalidInput: nobody is named who could decrypt, or nothing to save.
        StepFailed: a stage of the host's pipe failed; nothing was sealed.
        Unreachable, VaultRefused: the storage; nothing was sealed.
        LineCut: the line broke; nothing was sealed. Try again with the next `attempt`.
    """
    names = _wanted(store, settings, segment_bytes)
    naming = _Naming(site.name, run, attempt, clock.now())
    dialogue = Dialogue(
        channel=transport.open(_script(names, store, site, settings, segment_bytes)),
        vault=vault,
        site=site.name,
        clock=clock,
        segment_bytes=segment_bytes,
        stored=_shown(progress, site.name),
        retried=retried,
    )
    streams = _converse(dialogue, names, naming)
    host, cms = _host_facts(site, dialogue), CmsFacts(site.cms_name, site.here.url, cms_version)
    whole = _manifest(store, site, settings, naming, streams, host, cms)
    snapshot = replace(
        whole, sealed_at=clock.now(), previous_snap_sha256=_previous(vault, site.name)
    )
    _seal(vault, snapshot, settings)
    return snapshot


def _script(
    names: tuple[str, ...], store: Store, site: Site, settings: VaultSettings, segment_bytes: int
) -> str:
    return host_script(
        tuple(_saved(name, store, site) for name in names),
        spool=f"{site.name}@{site.here.name}",
        recipients=settings.recipients,
        segment_bytes=segment_bytes,
    )


def _manifest(
    store: Store,
    site: Site,
    settings: VaultSettings,
    naming: _Naming,
    streams: tuple[Stream, ...],
    host: HostFacts,
    cms: CmsFacts,
) -> Snapshot:
    """Return the manifest but for what is known only when it is sealed."""
    return Snapshot(
        site=site.name,
        environment=site.here.name,
        snap=naming.snap,
        chain=naming.chain,
        kind="full",
        run_id=naming.run,
        tool_version=__version__,
        started_at=naming.started,
        sealed_at=naming.started,
        host=host,
        cms=cms,
        source=Source(site.here.root, store.exclude),
        recipients=tuple(Recipient(one) for one in settings.recipients),
        streams=streams,
        restore_order=tuple(stream.name for stream in streams),
        previous_snap_sha256="",
        label=store.label,
        attempt=naming.attempt,
    )


def _wanted(store: Store, settings: VaultSettings, segment_bytes: int) -> tuple[str, ...]:
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
    return tuple(name for name in _ORDER if name in store.include)


def _saved(name: str, store: Store, site: Site) -> Saved:
    if name == "database":
        return Saved(name, site.cms.dump_database(), has_trailer=True)
    return Saved(name, site.cms.pack_files(store.exclude), has_trailer=False)


def _shown(progress: Progress, site: str) -> Callable[[str, int], None]:
    return lambda stream, done: progress(site, f"backup of the {stream}", float(done), 0.0)


def _converse(dialogue: Dialogue, names: tuple[str, ...], naming: _Naming) -> tuple[Stream, ...]:
    """Return the streams, all proofs right; the host's side has ended in any case."""
    try:
        dialogue.greet()
        streams = tuple(
            dialogue.stream(name, _KINDS[name], naming.stream(name, dialogue.compression))
            for name in names
        )
        dialogue.farewell()
        return streams
    except LineCut:
        raise
    except BaseException:
        dialogue.stop()
        raise
    finally:
        dialogue.channel.close()


def _host_facts(site: Site, dialogue: Dialogue) -> HostFacts:
    tools = {name: version for name, version in dialogue.tools.items() if name != "os"}
    return HostFacts(str(site.here.host), dialogue.tools.get("os", ""), tools)


def _previous(vault: Vault, site_name: str) -> str:
    """Return the SHA-256 of the newest manifest, as it is stored: each one vouches for the last."""
    keys = manifest_keys(vault, site_name)
    return hashlib.sha256(text(vault, keys[-1])).hexdigest() if keys else ""


def _seal(vault: Vault, snapshot: Snapshot, settings: VaultSettings) -> None:
    """Write the manual, then the manifest: from here on the backup exists."""
    manual = f"{site_prefix(snapshot.site)}README.txt"
    vault.put(manual, readme(snapshot.site, settings).encode(), replace=True)
    vault.put(snapshot.key, to_json(snapshot))
