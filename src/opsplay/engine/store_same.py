"""Which names of a survey look exactly as the last index has them, told without reading them.

Of a site's files nearly all are as they were. Comparing the bytes that the host says with the bytes
that it would say if nothing had changed is ten times as fast as understanding both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from opsplay.core.index import Index, unescaped

_NANOSECONDS = 9


class Same:
    """Passes the files of a survey over that look as they did, and remembers which."""

    def __init__(self, last: Mapping[str, object]) -> None:
        self._known: dict[bytes, str] = {}
        self.paths: list[str] = []
        """As the survey came to them."""
        if isinstance(last, Index):
            self._known = {_said(line): path for path, line in last.lines.items()}
            self._known.pop(b"", None)

    def __call__(self, record: bytes, target: bytes) -> bool:
        """Return whether a record of the survey tells nothing new."""
        path = None if target else self._known.get(record)
        if path is None:
            return False
        self.paths.append(path)
        return True


class Others:
    """Passes everything over but some names."""

    def __init__(self, paths: Collection[str]) -> None:
        self._wanted = {path.encode("utf-8", "surrogateescape") for path in paths}

    def __call__(self, record: bytes, _target: bytes) -> bool:
        """Return whether a record is of no interest; what is no name always is of interest."""
        _, begun, path = record.partition(b" ./")
        return bool(begun) and record[:1] != b"u" and path not in self._wanted


def _said(line: bytes) -> bytes:
    """Return what GNU find says of a file that is as this line of an index; empty: look closer."""
    kind, mode, size, mtime, ctime, inode, sha256, pack, path, _ = line.split(b"\t")
    if kind != b"file" or b"-" in {sha256, pack}:
        return b""
    if b"\\" in path:
        path = unescaped(path.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return b"f %b %b %b %b %b ./%b" % (mode, size, _seconds(mtime), _seconds(ctime), inode, path)


def _seconds(nanoseconds: bytes) -> bytes:
    """Return a time as find's %T@ has it: ten digits, the last of which is always 0."""
    return b"%b.%b0" % (nanoseconds[:-_NANOSECONDS], nanoseconds[-_NANOSECONDS:])
