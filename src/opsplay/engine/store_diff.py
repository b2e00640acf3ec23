"""What changed below a site's root since the last index: pure comparison, no host is asked.

A file whose size, times and inode are those of the last index is the file that was packed then. Any
other is hashed: if content, size and mode are the same all the same (the host was moved, somebody
touched it), its old pack serves on. So a clock or a copy that changes every time costs hashing,
never a byte in the vault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from opsplay.core.index import Entry

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""Of no bytes: nobody has to read an empty file."""
UNSETTLED = -1
"""The `ctime` of an entry that must be looked at again next time, whatever its times say."""


@dataclass(frozen=True)
class Comparison:
    """A survey beside the last index, before anything is hashed."""

    kept: tuple[Entry, ...]
    """As they are now, with the pack and the hash of the last index."""
    to_hash: tuple[Entry, ...]
    """Files that are new, or whose size, times or inode differ."""
    to_pack: tuple[Entry, ...]
    """What is new or differs and has no content to hash: directories, links, empty files."""
    removed: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """What a snapshot saves anew, and what it takes over."""

    kept: tuple[Entry, ...]
    """Their pack is known, or there is nothing to save of them (sockets, devices)."""
    to_pack: tuple[Entry, ...]
    unread: tuple[Entry, ...]
    """Files that the host could not hash: vanished meanwhile, or unreadable."""
    added: tuple[str, ...]
    """Paths: new names, and below those that differ from the last index, and those that are gone.
    A touched file has not changed."""
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def compare(
    seen: Iterable[Entry], last: Mapping[str, Entry], same: Iterable[str] = ()
) -> Comparison:
    """Return what is certain already, and what must be hashed.

    `last`: by path; may be empty. `same`: paths that are known to be as they were, not in `seen`.
    """
    kept: list[Entry] = []
    to_hash: list[Entry] = []
    to_pack: list[Entry] = []
    paths = set(same)
    for entry in seen:
        paths.add(entry.path)
        if (taken := _taken_over(entry, last.get(entry.path))) is not None:
            kept.append(taken)
        elif entry.kind == "file" and entry.size:
            to_hash.append(entry)
        else:
            to_pack.append(_of_no_content(entry))
    removed = tuple(path for path in last if path not in paths)
    return Comparison(tuple(kept), tuple(to_hash), tuple(to_pack), removed)


def settle(comparison: Comparison, hashes: Mapping[str, str], last: Mapping[str, Entry]) -> Changes:
    """Return what has to be packed, now that the contents are known.

    `hashes`: by path; a file that is not in it could not be read.
    """
    kept, to_pack = list(comparison.kept), list(comparison.to_pack)
    unread: list[Entry] = []
    for entry in comparison.to_hash:
        sum_, old = hashes.get(entry.path, ""), last.get(entry.path)
        if not sum_:
            unread.append(entry)
        elif old is not None and _same_content(entry, sum_, old):
            kept.append(entry.saved(sum_, old.pack))
        else:
            to_pack.append(entry.saved(sum_, ""))
    fresh = [entry.path for entry in (*to_pack, *unread)]
    return Changes(
        kept=tuple(kept),
        to_pack=tuple(to_pack),
        unread=tuple(unread),
        added=tuple(path for path in fresh if path not in last),
        changed=tuple(path for path in fresh if path in last),
        removed=comparison.removed,
    )


def unsettled(entries: Iterable[Entry], since: int) -> tuple[Entry, ...]:
    """Return the entries, those that changed at `since` (nanoseconds) or later marked.

    A file may change twice within one tick of its disk's clock, and its times then say nothing of
    the second change: next time its content is compared.
    """
    return tuple(
        replace(entry, ctime=UNSETTLED)
        if entry.kind == "file" and max(entry.ctime, entry.mtime) >= since
        else entry
        for entry in entries
    )


def moved_meanwhile(
    packed: Iterable[Entry], later: Mapping[str, Entry]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which of the packed names changed, and which are gone, by a later survey."""
    changing, vanished = [], []
    for entry in packed:
        now = later.get(entry.path)
        if now is None or now.kind != entry.kind:
            vanished.append(entry.path)
        elif entry.kind == "file" and _looks(now) != _looks(entry):
            changing.append(entry.path)
    return tuple(changing), tuple(vanished)


def _taken_over(entry: Entry, old: Entry | None) -> Entry | None:
    """Return the entry with its old pack if it is certainly what was packed then."""
    if entry.kind == "other":
        return entry
    if old is None or old.kind != entry.kind or not old.pack or old.mode != entry.mode:
        return None
    if entry.kind == "file" and not entry.size and not old.size:
        return entry.saved(EMPTY_SHA256, old.pack)
    if entry.kind == "file":
        return old if old.sha256 and _looks(old) == _looks(entry) else None
    return entry.saved("", old.pack) if entry.target == old.target else None


def _same_content(now: Entry, sha256: str, old: Entry) -> bool:
    same = (now.kind, now.size, now.mode, sha256) == (old.kind, old.size, old.mode, old.sha256)
    return same and bool(old.pack)


def _looks(entry: Entry) -> tuple[int, int, int, int, int]:
    return entry.size, entry.mtime, entry.ctime, entry.inode, entry.mode


def _of_no_content(entry: Entry) -> Entry:
    return entry.saved(EMPTY_SHA256, "") if entry.kind == "file" else entry
