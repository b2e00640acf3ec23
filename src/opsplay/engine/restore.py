"""Bring a backup back: fetch and prove everything first, then switch behind a closed door.

The host pulls from the storage by itself where it can, and decrypts with a key made for this
restore alone: only the controller has the age identity. Each segment is checked before it is
decrypted, each file and the dump before anything of the site is touched.
"""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from opsplay.core.errors import OpsplayError, StepFailed, VaultRefused
from opsplay.core.event import Progress
from opsplay.core.index import Entry
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine import restore_scripts as scripts
from opsplay.engine.restore_checks import (
    insist_on_every_part,
    insist_on_its_signature,
    insist_on_room,
    insist_on_the_way_down,
    insist_on_tools,
)
from opsplay.engine.restore_erasing import Forgetting
from opsplay.engine.restore_fetch import UNCHANGED, Fetching
from opsplay.engine.restore_forecast import Forecast, duration, forecast, look, size
from opsplay.engine.restore_plan import Plan, plan
from opsplay.engine.restore_stream import identities
from opsplay.engine.snapshots import entries
from opsplay.engine.store_suspect import is_code
from opsplay.kit.clock import Clock

_NAMED = 3


@dataclass(frozen=True)
class Restored:
    """What a restore did."""

    snapshot: Snapshot
    environment: str
    forecast: Forecast
    seconds: float
    kept: tuple[str, ...]
    """Where what was there before is kept on the host, and what could not be kept, and why."""
    lacking: tuple[str, ...]
    """Files that the backup could not read when it was made."""
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"{', '.join(self.paths)} of snapshot" if self.paths else "snapshot"
        told = [f"{what} {self.snapshot.snap} is back in {self.environment}"]
        by = "the host's line" if self.forecast.way == "direct" else "this machine's line"
        told[0] += f", {size(self.forecast.bytes)} in {duration(self.seconds)} by {by}"
        told += [f"as it was before: {one}" for one in self.kept]
        if self.lacking:
            named = ", ".join(self.lacking[:_NAMED])
            told += [f"{len(self.lacking)} files are not in the backup, such as {named}"]
        return "; ".join(told)


def bring_back(  # noqa: PLR0913  # what a restore needs to know, each by its name
    snapshot: Snapshot,
    site: Site,
    transport: Transport,
    vault: Vault,
    settings: VaultSettings,
    *,
    include: Iterable[str] = ("database", "files"),
    paths: Iterable[str] = (),
    clock: Clock,
    progress: Progress,
    door: str = "",
    switch: Callable[[str], Answer] | None = None,
    after: Mapping[str, str] = MappingProxyType({}),
    own_configuration: bool = False,
    trusted: tuple[str, ...] = (),
) -> Restored:
    """Bring the snapshot back into the environment that the site is seen from.

    Into another environment than it was taken from, the CMS's own configuration is kept and the
    copy is made safe. `paths`: only these files and directories, put back one by one; what came
    to a directory since stays. `door`: SHA-256 of the pass of a caller who closed the site and
    will open it; without it the site is closed here, and opened when all is right. `switch` runs
    the script that puts everything into place, by a way that survives a cut line; without it: the
    transport. `after`: part (`files`, `database`) → a script run when that part is in place and
    nothing else was done yet (a drill looks then). `own_configuration`: the backup's own is put in
    place elsewhere, too, and a script of `after` makes it fit. `trusted`: public keys that may have
    signed the manifest and the ledger of erasures, whose requests are carried out before visitors
    are let in.

    Raises:
        InvalidInput: the backup does not hold what is asked for, or no identity is configured.
        VaultRefused: a segment is missing or damaged (it is named); nothing was changed.
        StepFailed: the host could not do it; says what was changed.
        LineCut: the line broke; restoring again goes on with what was fetched.
    """
    paths = tuple(paths)
    insist_on_the_way_down(snapshot, site, paths)
    begun = clock.monotonic()
    keys = identities(settings)
    insist_on_its_signature(vault, snapshot, trusted)
    include = ("files",) if paths else tuple(include)
    wanted = plan(snapshot, _entries(vault, snapshot, settings, include), include, paths)
    after_all = Forgetting(snapshot, site, transport, vault, settings, trusted, wanted)
    insist_on_every_part(vault, wanted)
    seen = look(site, transport, vault, settings, wanted)
    insist_on_tools(site, seen, wanted)
    insist_on_room(site, seen, wanted)
    expected = forecast(wanted, seen, transport, vault, settings, clock, site.name)
    progress(site.name, f"restore of {expected}", 0.0, float(wanted.stored_bytes))
    _fetch(wanted, expected, site, transport, vault, keys, clock, progress)
    script = _last_script(
        site, wanted, door, after,
        own_configuration=own_configuration, opening=not after_all.owed,
    )  # fmt: skip
    answer = switch(script) if switch else transport.run(script, timeout=None)
    _insist_on_the_end(site, answer)
    after_all.erase_and_open(opening=not door)
    kept = tuple(
        line.removeprefix(scripts.KEPT)
        for line in answer.stdout.splitlines()
        if line.startswith(scripts.KEPT)
    )
    seconds = clock.monotonic() - begun
    return Restored(snapshot, site.here.name, expected, seconds, kept, wanted.lacking, wanted.paths)


def foreseen(  # noqa: PLR0913, PLR0917 - as `bring_back`
    snapshot: Snapshot,
    site: Site,
    transport: Transport,
    vault: Vault,
    settings: VaultSettings,
    clock: Clock,
    include: Iterable[str] = ("database", "files"),
    paths: Iterable[str] = (),
) -> Forecast:
    """Return what bringing it back would cost, measured; changes nothing.

    Raises what `bring_back` does before it changes anything.
    """
    include = tuple(include)
    wanted = plan(snapshot, _entries(vault, snapshot, settings, include), include, paths)
    seen = look(site, transport, vault, settings, wanted)
    insist_on_tools(site, seen, wanted)
    insist_on_room(site, seen, wanted)
    return forecast(wanted, seen, transport, vault, settings, clock, site.name)


def _entries(
    vault: Vault, snapshot: Snapshot, settings: VaultSettings, include: Iterable[str]
) -> tuple[Entry, ...]:
    return entries(vault, snapshot, settings) if "files" in set(include) else ()


def _fetch(  # noqa: PLR0913, PLR0917 - all that fetching needs
    wanted: Plan,
    expected: Forecast,
    site: Site,
    transport: Transport,
    vault: Vault,
    keys: tuple[object, ...],
    clock: Clock,
    progress: Progress,
) -> None:
    """Have everything in the host's spool, proved. A damaged backup leaves nothing there."""
    attempt = secrets.token_hex(8)
    _prepare(site, transport, wanted, attempt)
    fetching = Fetching(
        site, transport, vault, keys, clock, progress, attempt, expected.way, wanted.stored_bytes
    )
    try:
        fetching.all(wanted.parts)
    except VaultRefused:
        _try_clean(site, transport)
        raise


def _prepare(site: Site, transport: Transport, wanted: Plan, attempt: str) -> None:
    rows = gzip.compress(wanted.rows(), mtime=0)
    answer = transport.run(scripts.prepare(site, wanted, attempt), stdin=rows, timeout=600.0)
    if not answer.ok or "PREPARED" not in answer.stdout:
        raise StepFailed(
            _said("cannot prepare the restore", answer), site=site.name, state=UNCHANGED
        )


def _try_clean(site: Site, transport: Transport) -> None:
    """Remove the spool if the host still answers; the next restore removes it anyway."""
    try:
        transport.run(scripts.clean(site))
    except (OpsplayError, TimeoutError):
        return


def _last_script(
    site: Site,
    wanted: Plan,
    door: str,
    after: Mapping[str, str],
    *,
    own_configuration: bool,
    opening: bool,
) -> str:
    if wanted.paths:
        code = any(is_code(entry.path) for part in wanted.parts for entry in part.entries)
        return scripts.place(site, wanted, door=door, closed=code)
    return scripts.switch(
        site, wanted, door, after, own_configuration=own_configuration, opening=opening
    )


def _insist_on_the_end(site: Site, answer: Answer) -> None:
    reached = [line[3:] for line in answer.stdout.splitlines() if line.startswith(scripts.AT)]
    if answer.ok and reached[-1:] == ["end"]:
        return
    last = reached[-1] if reached else "start"
    raise StepFailed(
        _said(f"restore failed at: {_ACTS.get(last, last)}", answer),
        site=site.name,
        state=_STATES.get(last, _STATES["safe"]),
        next_command="put right what the host says, then restore again: it starts from the backup",
    )


_ACTS = {
    "close": "closing the site to visitors",
    "keep": "keeping the database as it was",
    "files": "putting the files back",
    "paths": "putting single files back",
    "after-files": "looking at the files",
    "after-database": "looking at the database",
    "database": "loading the database",
    "safe": "making the copy safe",
    "open": "opening the site to visitors",
}
_STATES = {
    "start": UNCHANGED,
    "close": "files and database were not loaded; the site may be closed to visitors",
    "keep": "closed to visitors; files and database are as they were",
    "files": "closed to visitors; the files are half restored, the database is as it was",
    "paths": "some of the files are restored; those that were there are kept in the run's directory",
    "database": "closed to visitors; the files are restored, the database is not",
    "after-files": "closed to visitors; the files are restored, the database is not",
    "after-database": "closed to visitors; files and database are restored",
    "safe": "closed to visitors; files and database are restored",
    "open": "files and database are restored; the site may still be closed to visitors",
}


def _said(what: str, answer: Answer) -> str:
    last = " ".join(answer.stderr.strip().splitlines()[-3:])
    return f"{what} (status {answer.exit_status}{': ' if last else ''}{last})"
