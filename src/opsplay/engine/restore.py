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
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot
from opsplay.engine import restore_scripts as scripts
from opsplay.engine.lock import FETCHED_KEPT
from opsplay.engine.restore_checks import (
    insist_on_every_part,
    insist_on_its_signature,
    insist_on_room,
    insist_on_the_way_down,
    insist_on_tools,
)
from opsplay.engine.restore_erasing import Forgetting
from opsplay.engine.restore_fetch import Fetching
from opsplay.engine.restore_forecast import Forecast, forecast, look
from opsplay.engine.restore_plan import Plan, plan
from opsplay.engine.restore_stream import identities
from opsplay.engine.restoring import UNCHANGED, Restoring, Way
from opsplay.engine.snapshots import entries
from opsplay.engine.store_suspect import is_code
from opsplay.kit.wording import size, span

_NAMED = 3
_STAYS = f"what was fetched stays on the host for {FETCHED_KEPT.days} days: restoring again goes on with it"


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
        told[0] += f", {size(self.forecast.bytes)} in {span(self.seconds)} by {by}"
        told += [f"as it was before: {one}" for one in self.kept]
        if self.lacking:
            named = ", ".join(self.lacking[:_NAMED])
            told += [f"{len(self.lacking)} files are not in the backup, such as {named}"]
        return "; ".join(told)


def bring_back(
    work: Restoring,
    *,
    include: Iterable[str] = ("database", "files"),
    paths: Iterable[str] = (),
    door: str = "",
    switch: Callable[[str], Answer] | None = None,
    after: Mapping[str, str] = MappingProxyType({}),
    own_configuration: bool = False,
) -> Restored:
    """Bring a snapshot back into the environment that the site is seen from.

    Into another environment than it was taken from, the CMS's own configuration is kept and the
    copy is made safe. `paths`: only these files and directories, put back one by one; what came
    to a directory since stays. `door`: SHA-256 of the pass of a caller who closed the site and
    will open it; without it the site is closed here, and opened when all is right. `switch` runs
    the script that puts everything into place, by a way that survives a cut line; without it: the
    transport. `after`: part (`files`, `database`) → a script run when that part is in place and
    nothing else was done yet (a drill looks then). `own_configuration`: the backup's own is put in
    place elsewhere, too, and a script of `after` makes it fit. Who asked to be erased is erased
    again before visitors are let in.

    Raises:
        InvalidInput: the backup does not hold what is asked for, or no identity is configured.
        VaultRefused: a segment is missing or damaged (it is named); nothing was changed.
        StepFailed: the host could not do it; says what was changed.
        LineCut: the line broke; restoring again goes on with what was fetched.
    """
    paths = tuple(paths)
    insist_on_the_way_down(work, paths)
    begun = work.clock.monotonic()
    keys = identities(work.settings)
    insist_on_its_signature(work)
    wanted = _planned(work, include, paths)
    forgetting = _forgetting(work, wanted)
    insist_on_every_part(work, wanted)
    expected = _expected(work, wanted)
    work.progress(work.site.name, f"restore of {expected}", 0.0, float(wanted.stored_bytes))
    _fetch(work, wanted, expected.way, keys)
    opening = not (forgetting and forgetting.owed)
    script = _last_script(work.site, wanted, door, after, own_configuration, opening)
    answer = switch(script) if switch else work.transport.run(script, timeout=None)
    _insist_on_the_end(work.site, answer)
    if forgetting:
        forgetting.erase_and_open(opening=not door)
    kept = tuple(
        line.removeprefix(scripts.KEPT)
        for line in answer.stdout.splitlines()
        if line.startswith(scripts.KEPT)
    )
    seconds = work.clock.monotonic() - begun
    here = work.site.here.name
    return Restored(work.snapshot, here, expected, seconds, kept, wanted.lacking, wanted.paths)


def foreseen(
    work: Restoring,
    include: Iterable[str] = ("database", "files"),
    paths: Iterable[str] = (),
) -> Forecast:
    """Return what bringing it back would cost, measured; changes nothing.

    Raises what `bring_back` does before it changes anything.
    """
    return _expected(work, _planned(work, include, tuple(paths)))


def _planned(work: Restoring, include: Iterable[str], paths: tuple[str, ...]) -> Plan:
    include = {"files"} if paths else set(include)
    known = entries(work.vault, work.snapshot, work.settings) if "files" in include else ()
    return plan(work.snapshot, known, include, paths)


def _forgetting(work: Restoring, wanted: Plan) -> Forgetting | None:
    if not wanted.part("database"):
        return None
    return Forgetting(work.ledger, work.snapshot.started_at, work.site, work.transport)


def _expected(work: Restoring, wanted: Plan) -> Forecast:
    seen = look(work, wanted)
    insist_on_tools(work, wanted, seen)
    insist_on_room(work, wanted, seen)
    return forecast(work, wanted, seen)


def _fetch(work: Restoring, wanted: Plan, way: Way, keys: tuple[object, ...]) -> None:
    """Have everything in the host's spool, proved.

    What is of no more use leaves nothing there: a damaged backup, a host that cannot. After a line
    that broke it stays for the next attempt, and not for ever.
    """
    attempt = secrets.token_hex(8)
    _prepare(work, wanted, attempt)
    try:
        Fetching(work, keys, way, attempt, wanted.stored_bytes).all(wanted.parts)
    except (VaultRefused, StepFailed):
        _try_clean(work)
        raise
    except OpsplayError as error:
        error.state = f"{UNCHANGED}; {_STAYS}"
        raise


def _prepare(work: Restoring, wanted: Plan, attempt: str) -> None:
    rows = gzip.compress(wanted.rows(), mtime=0)
    script = scripts.prepare(work.site, wanted, attempt)
    answer = work.transport.run(script, stdin=rows, timeout=600.0)
    if not answer.ok or "PREPARED" not in answer.stdout:
        raise work.refused(_said("cannot prepare the restore", answer))


def _try_clean(work: Restoring) -> None:
    """Remove the spool if the host still answers; else the next run there does, see `lock`."""
    try:
        work.transport.run(scripts.clean(work.site))
    except (OpsplayError, TimeoutError):
        return


def _last_script(
    site: Site,
    wanted: Plan,
    door: str,
    after: Mapping[str, str],
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
