r"""The index of a snapshot: every file, directory and link of the site, and the pack that holds it.

Pure. The text has one line an entry, so that a stranger reads it with awk: ten columns, separated
by tabs, sorted by path, between a first and a last line that say whose form it is and how many
entries there are.

    kind mode size mtime ctime inode sha256 pack path target

Paths are relative to the root, without `./`. They are bytes on the host; here they are text with
surrogate escapes. Backslash, newline and tab are written `\\`, `\n` and `\t`: GNU tar reads
such lists of names (`--files-from`) as they are.
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from opsplay.core.errors import UnreadableAnswer

FIRST = "#opsplay-index 1"
LAST = "#end"

Kind = Literal["file", "dir", "link", "other"]
_KIND: Mapping[bytes, Kind] = {b"file": "file", b"dir": "dir", b"link": "link", b"other": "other"}
_COLUMNS = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One name below the root."""

    path: str
    kind: Kind
    """`other`: a socket, device or pipe, which is listed and not saved."""
    mode: int
    """Permission bits, as in 0o644."""
    size: int
    """Bytes of a file; 0 for others."""
    mtime: int
    """Nanoseconds since 1970, or whole seconds of them where the host knows no better."""
    ctime: int
    inode: int
    sha256: str = ""
    """Hexadecimal, of a file's content; empty for others, and where it could not be read."""
    pack: str = ""
    """`Stream.pack` of the archive that holds it; empty: not saved (yet)."""
    target: str = ""
    """Where a link points."""

    def saved(self, sha256: str, pack: str) -> Entry:
        """Return the same name with another hash and pack. (`replace` takes four times as long.)"""
        return Entry(
            self.path,
            self.kind,
            self.mode,
            self.size,
            self.mtime,
            self.ctime,
            self.inode,
            sha256,
            pack,
            self.target,
        )


class Index(Mapping[str, Entry]):
    """An index by path, each line read when it is asked for: most of a site is as it was."""

    def __init__(self, text: bytes, where: str = "index") -> None:
        """Take the text of an index.

        Raises:
            UnreadableAnswer: it is no index, or its end is missing.
        """
        self._where = where
        self._packs: dict[bytes, str] = {}
        self._lines = {_path_of(line, where): line for line in _lines(text, where)}

    def __getitem__(self, path: str) -> Entry:
        """Return an entry. Raises KeyError, and UnreadableAnswer if its line is damaged."""
        return _entry(self._lines[path], self._packs, self._where)

    def __iter__(self) -> Iterator[str]:
        """Yield the paths, sorted."""
        return iter(self._lines)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._lines)

    @property
    def lines(self) -> Mapping[str, bytes]:
        """Return the lines as they are, without their ends."""
        return self._lines

    @property
    def files(self) -> frozenset[str]:
        """Return the paths of files."""
        return frozenset(path for path, line in self._lines.items() if line.startswith(b"file\t"))


@dataclass(frozen=True)
class Listed:
    """What an index will list: entries, and lines of the last index that hold still."""

    entries: tuple[Entry, ...]
    lines: Mapping[str, bytes] = field(default_factory=dict)
    """By path."""

    def __len__(self) -> int:
        """Return how many names are listed."""
        return len(self.entries) + len(self.lines)

    @property
    def bytes(self) -> int:
        """Return how many bytes all files have."""
        sizes = (int(line.split(b"\t", 3)[2]) for line in self.lines.values())
        return sum(entry.size for entry in self.entries) + sum(sizes)

    @property
    def packs(self) -> set[str]:
        """Return the packs that hold something of it."""
        named = {line.split(b"\t", 8)[7] for line in self.lines.values()} - {b"-"}
        return {entry.pack for entry in self.entries if entry.pack} | set(map(_text, named))

    @property
    def text(self) -> builtins.bytes:
        """Return the index as text, sorted by path."""
        rows = {entry.path: _row(entry) for entry in self.entries}
        in_order = sorted([*rows, *self.lines])
        lines = (self.lines.get(path) or rows[path] for path in in_order)
        return b"\n".join([FIRST.encode(), *lines, f"{LAST} {len(in_order)}".encode(), b""])


def to_text(entries: Iterable[Entry]) -> bytes:
    """Return the index as text, sorted by path."""
    return Listed(tuple(entries)).text


def from_text(text: bytes, where: str = "index") -> tuple[Entry, ...]:
    """Return the entries of an index.

    Raises:
        UnreadableAnswer: it is no index, a line is damaged, or its end is missing.
    """
    packs: dict[bytes, str] = {}
    return tuple(_entry(line, packs, where) for line in _lines(text, where))


def sha256(text: bytes) -> str:
    """Return the hexadecimal SHA-256 of an index's text."""
    return hashlib.sha256(text).hexdigest()


def escaped(path: str) -> str:
    r"""Return a path as it stands in an index, and in a list of names for tar.

    >>> escaped("line\nbreak")
    'line\\nbreak'
    """
    if path.isprintable() and "\\" not in path:
        return path
    return path.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescaped(text: str) -> str:
    """Return the path that `escaped` wrote."""
    if "\\" not in text:
        return text
    pieces = text.split("\\\\")
    return "\\".join(one.replace("\\n", "\n").replace("\\t", "\t") for one in pieces)


def _lines(text: bytes, where: str) -> Iterator[bytes]:
    lines = text.split(b"\n")
    if lines[0] != FIRST.encode() or lines[-2:] != [f"{LAST} {len(lines) - 3}".encode(), b""]:
        raise UnreadableAnswer(f"{where} is no whole index of files")
    return islice(lines, 1, len(lines) - 2)


def _path_of(line: bytes, where: str) -> str:
    columns = line.split(b"\t", 9)
    if len(columns) != _COLUMNS:
        raise UnreadableAnswer(f"{where}: {line[:200]!r} is not an entry")
    return unescaped(_text(columns[8]))


def _row(entry: Entry) -> bytes:
    return (
        f"{entry.kind}\t{entry.mode:o}\t{entry.size}\t{entry.mtime}\t{entry.ctime}\t{entry.inode}"
        f"\t{entry.sha256 or '-'}\t{entry.pack or '-'}\t{escaped(entry.path)}"
        f"\t{escaped(entry.target)}"
    ).encode("utf-8", "surrogateescape")


def _entry(line: bytes, packs: dict[bytes, str], where: str) -> Entry:
    """Return one entry; `packs` keeps the names that many entries share."""
    try:
        kind, mode, size, mtime, ctime, inode, sum_, pack, path, target = line.split(b"\t")
        if pack not in packs:
            packs[pack] = "" if pack == b"-" else _text(pack)
        return Entry(
            unescaped(_text(path)),
            _KIND[kind],
            int(mode, 8),
            int(size),
            int(mtime),
            int(ctime),
            int(inode),
            "" if sum_ == b"-" else sum_.decode("ascii"),
            packs[pack],
            unescaped(_text(target)) if target else "",
        )
    except (ValueError, KeyError) as error:
        raise UnreadableAnswer(f"{where}: {line[:200]!r} is not an entry") from error


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
