"""The files' part of a backup: look, compare, hash what differs, and say what goes into which pack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.index import Entry, Index, Listed
from opsplay.core.site import Site
from opsplay.core.snapshot import Consistency
from opsplay.core.transport import Transport
from opsplay.engine.store_diff import Changes, compare, moved_meanwhile, settle, unsettled
from opsplay.engine.store_last import Last
from opsplay.engine.store_packs import WORTH_TWO_LANES, Pack, packs
from opsplay.engine.store_same import Others, Same
from opsplay.engine.store_survey import PassedOver, Survey, hashes, survey
from opsplay.engine.store_suspect import code_changed
from opsplay.kit.clock import Clock

_NAMED = 100
"""How many paths of each sort a manifest names."""
_WHOLE_SECONDS = {"php", "stat"}
_SKEW = timedelta(hours=1)
"""How far a host's clock may be from ours, for what depends on both."""


@dataclass(frozen=True)
class Looking:
    """Asks a host for the files of one backup."""

    site: Site
    transport: Transport
    exclude: tuple[str, ...]

    def survey(self, passed_over: PassedOver) -> Survey:
        """Return what stands below the root. Raises StepFailed, UnreadableAnswer, LineCut."""
        here = self.site.here
        left_out = self.site.cms.files_left_out(self.exclude)
        found = survey(self.transport, here.root, left_out, self.site.name, passed_over)
        _check(found.entries, self.site.name)
        return found

    def hashes(self, entries: Iterable[Entry]) -> Mapping[str, str]:
        """Return the SHA-256 of the files that can be read, by path. Raises as above."""
        wanted = tuple(entries)
        much = sum(entry.size for entry in wanted) >= WORTH_TWO_LANES
        rows = (wanted[::2], wanted[1::2]) if much else (wanted,)
        with ThreadPoolExecutor(len(rows)) as pool:
            found = tuple(pool.map(self._hashes, rows))
        return {path: sha256 for part in found for path, sha256 in part.items()}

    def _hashes(self, entries: Sequence[Entry]) -> Mapping[str, str]:
        paths = [entry.path for entry in entries]
        return hashes(self.transport, self.site.here.root, paths, self.site.name)


@dataclass(frozen=True)
class Files:
    """What a backup of files will hold."""

    surveyed_at: datetime
    unreadable: tuple[str, ...]
    """Directories that could not be looked into."""
    unsettled_since: int
    """Nanoseconds; a file that changed then or later may change unseen. 0: there is none."""
    same: Mapping[str, bytes]
    """Lines of the last index that hold still, by path."""
    changes: Changes
    packs: tuple[Pack, ...]
    last: Last
    compared: Changes
    """What changed since the last backup, though it may not be built upon."""


def files(looking: Looking, last: Last, at: datetime, pack_bytes: int) -> Files:
    """Return what is to be saved of the site's files, by one look at them, begun at `at`."""
    same = Same(last.known)
    found = looking.survey(same)
    lines = _lines(same.paths, found.entries, last, looking.site.name)
    comparison = compare(found.entries, last.known, lines)
    sums = looking.hashes(comparison.to_hash)
    changes = settle(comparison, sums, last.known)
    compared = changes if last.known else _against(found.entries, sums, last)
    return Files(
        surveyed_at=at,
        unreadable=found.unreadable,
        unsettled_since=_newest(found, at),
        same=lines,
        changes=changes,
        packs=packs(changes.to_pack, pack_bytes),
        last=last,
        compared=compared,
    )


def _lines(
    same: list[str], others: tuple[Entry, ...], last: Last, site: str
) -> Mapping[str, bytes]:
    if not isinstance(last.entries, Index):
        return {}
    lines = {path: last.entries.lines[path] for path in same}
    if len(lines) != len(same) or any(entry.path in lines for entry in others):
        raise UnreadableAnswer("the host lists a file twice", site=site)
    return lines


def _against(entries: tuple[Entry, ...], sums: Mapping[str, str], last: Last) -> Changes:
    return settle(compare(entries, last.entries), sums, last.entries)


@dataclass(frozen=True)
class Packed:
    """The files as the index lists them, and what was seen while they were packed."""

    listed: Listed
    consistency: Consistency


def packed(
    done: Files, names: Mapping[int, str], lost: frozenset[str], looking: Looking, clock: Clock
) -> Packed:
    """Return the index's entries after the last pack was stored.

    `names`: `Stream.pack` of each pack that was made, by its number; `lost`: paths that are in
    none, because they were gone or could not be read when it was their turn.
    """
    finished = clock.now()
    told = tuple(
        entry.saved(entry.sha256, names[pack.number])
        for pack in done.packs
        for entry in pack.entries
    )
    again = _seen_again(done, told, lost, looking)
    unread = {*again.vanished, *again.unreadable}
    own = (_as_packed(entry, again) for entry in told if entry.path not in unread)
    never = (_unsaved(entry) for entry in (*told, *done.changes.unread))
    kept = (entry for entry in never if entry.path in again.unreadable)
    consistency = Consistency(
        surveyed_at=done.surveyed_at,
        finished_at=finished,
        changing=_some(again.changing),
        vanished=_some(again.vanished),
        unreadable=_some((*again.unreadable, *done.unreadable)),
        code_changed=_some(code_changed(done.compared)) if done.last.compared else (),
    )
    entries = (*done.changes.kept, *own, *kept)
    since = done.unsettled_since
    settled = unsettled(entries, since) if since else entries
    return Packed(Listed(settled, done.same), consistency)


@dataclass(frozen=True)
class _Again:
    """What a second look told of what was packed after the first."""

    changing: frozenset[str] = frozenset()
    vanished: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()


def _seen_again(
    done: Files, told: tuple[Entry, ...], lost: frozenset[str], looking: Looking
) -> _Again:
    unread = {entry.path for entry in done.changes.unread} | lost
    if not told and not unread:
        return _Again()
    wanted = Others({*unread, *(entry.path for entry in told)})
    later = {entry.path: entry for entry in looking.survey(wanted).entries}
    changing, vanished = moved_meanwhile(told, later)
    gone = frozenset(path for path in unread if path not in later)
    return _Again(frozenset(changing) - unread, gone.union(vanished), frozenset(unread - gone))


def _as_packed(entry: Entry, again: _Again) -> Entry:
    """Return an entry without its hash if nobody knows what is in its pack."""
    return entry.saved("", entry.pack) if entry.path in again.changing else entry


def _unsaved(entry: Entry) -> Entry:
    return entry.saved("", "")


def _newest(found: Survey, at: datetime) -> int:
    """Return the last second in which something changed, if that may be going on; else 0.

    Where times have whole seconds, a file may change again within the second of our look.
    """
    if found.how not in _WHOLE_SECONDS or not found.entries:
        return 0
    newest = max(entry.ctime for entry in found.entries)
    return newest if newest >= (at - _SKEW).timestamp() * 10**9 else 0


def _some(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the first paths, as text that any program can write."""
    return tuple(
        path.encode("utf-8", "backslashreplace").decode() for path in sorted(paths)[:_NAMED]
    )


def _check(entries: tuple[Entry, ...], site: str) -> None:
    """Refuse names that lead out of the root, and names that come twice."""
    for entry in entries:
        parts = entry.path.split("/") if "/" in entry.path or ".." in entry.path else ()
        if entry.path.startswith("/") or ".." in parts or "" in parts:
            raise UnreadableAnswer(f"the host lists {entry.path!r} below the root", site=site)
    if len({entry.path for entry in entries}) != len(entries):
        raise UnreadableAnswer("the host lists a file twice", site=site)
