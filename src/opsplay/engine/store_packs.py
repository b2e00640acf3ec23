"""Which files travel in which archive: pure grouping.

Neighbours stay together, because what is restored alone is a directory; packs have a size that can
be fetched several at once; what is compressed already is not compressed again; and one huge file is
a pack of its own, so that nothing else is re-packed with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from opsplay.core.index import Entry

PACK_BYTES = 512 << 20
"""How large a pack is meant to be, as tar makes it."""
WORTH_TWO_LANES = 64 << 20
"""Bytes from which on it pays to hash files, and to send packs, side by side."""
_BLOCK = 512

_WORDS = """
7z aac apk avi avif br bz2 cab dmg docx epub flac flv gif gz heic heif jar jpe jpeg jpg jxl
lz lz4 lzma m4a m4v mkv mov mp3 mp4 mpeg mpg odp ods odt ogg ogv opus pdf phar png pptx rar
tbz tgz txz webm webp wma wmv woff woff2 xlsx xz z zip zst zstd
"""
COMPRESSED = frozenset(_WORDS.split())
"""Extensions of files that no compressor makes smaller."""


@dataclass(frozen=True)
class Pack:
    """One archive to be made."""

    number: int
    entries: tuple[Entry, ...]
    """Sorted by path."""
    compress: bool
    """Whether compressing is worth its time."""

    @property
    def name(self) -> str:
        """Return the name of its stream in a manifest."""
        return f"files-{self.list_name}"

    @property
    def list_name(self) -> str:
        """Return its number as the host's list of names is called."""
        return f"{self.number:02d}"

    @property
    def bytes(self) -> int:
        """Return how long its archive will be, about."""
        return sum(map(_size, self.entries))


def packs(entries: Iterable[Entry], target: int = PACK_BYTES) -> tuple[Pack, ...]:
    """Return the packs that hold each of the entries once; none for no entries."""
    in_order = sorted(entries, key=lambda entry: _neighbourhood(entry.path))
    huge = [entry for entry in in_order if _size(entry) >= target]
    rest = [entry for entry in in_order if _size(entry) < target]
    soft = [entry for entry in rest if not is_compressed(entry)]
    hard = [entry for entry in rest if is_compressed(entry)]
    groups = [*_filled(soft, target), *_filled(hard, target), *((entry,) for entry in huge)]
    return tuple(
        Pack(number, group, not is_compressed(group[0])) for number, group in enumerate(groups)
    )


def lanes(made: Sequence[Pack]) -> tuple[tuple[Pack, ...], ...]:
    """Return the packs in two rows of about equal size, each in order; few bytes: in one."""
    if len(made) < 2 or sum(pack.bytes for pack in made) < WORTH_TWO_LANES:  # noqa: PLR2004
        return (tuple(made),)
    rows: tuple[list[Pack], list[Pack]] = ([], [])
    for pack in sorted(made, key=lambda pack: pack.bytes, reverse=True):
        min(rows, key=lambda row: sum(one.bytes for one in row)).append(pack)
    return tuple(tuple(sorted(row, key=lambda pack: pack.number)) for row in rows)


def is_compressed(entry: Entry) -> bool:
    """Return whether compressing it would be in vain, as its name says."""
    return entry.kind == "file" and extension(entry.path) in COMPRESSED


def extension(path: str) -> str:
    """Return the extension in lower case, without its dot; empty: none.

    >>> extension("a.b/Photo.JPG"), extension("a.b/.htaccess"), extension("a/readme")
    ('jpg', 'htaccess', '')
    """
    return path.rpartition("/")[2].rpartition(".")[2].lower() if "." in _name(path) else ""


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _neighbourhood(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _size(entry: Entry) -> int:
    """Return what an entry costs in an archive: its header, and its content in whole blocks."""
    return _BLOCK + -(-entry.size // _BLOCK) * _BLOCK


def _filled(entries: list[Entry], target: int) -> Iterator[tuple[Entry, ...]]:
    """Yield groups of at most `target` bytes; a directory is divided only if it must be."""
    group: list[Entry] = []
    room = target
    for _, members in groupby(entries, key=lambda entry: _neighbourhood(entry.path)[0]):
        folder = list(members)
        if group and sum(map(_size, folder)) > room:
            yield tuple(group)
            group, room = [], target
        for entry in folder:
            if group and _size(entry) > room:
                yield tuple(group)
                group, room = [], target
            group.append(entry)
            room -= _size(entry)
    if group:
        yield tuple(group)
