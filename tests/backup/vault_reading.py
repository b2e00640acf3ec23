"""Reads a snapshot's index and packs with nothing of the engine: what a stranger would find."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pyrage
from tests.backup.conftest import KEY, Bench

from opsplay.core import index
from opsplay.core.index import Entry
from opsplay.core.snapshot import Snapshot, Stream


def in_memory(bench: Bench) -> Bench:
    """Have a bench keep its backups in memory: for what no storage has a part in."""
    bench.settings = replace(bench.settings, name=bench.site.name, kind="memory")
    return bench


_PLAIN = {"zstd": ["zstd", "-dc"], "gzip": ["gzip", "-dc"], "none": ["cat"]}


def plain(bench: Bench, stream: Stream) -> bytes:
    """Return what a stream was made of."""
    sealed = b"".join(b"".join(bench.vault.get(one.key)) for one in stream.segments)
    opened = pyrage.decrypt(sealed, [KEY])
    return subprocess.run(
        _PLAIN[stream.compression], input=opened, capture_output=True, check=True
    ).stdout


def listed(bench: Bench, snapshot: Snapshot) -> dict[str, Entry]:
    """Return the index by path."""
    body = b"".join(bench.vault.get(snapshot.index.segment.key))
    text = subprocess.run(
        ["gzip", "-dc"], input=pyrage.decrypt(body, [KEY]), capture_output=True, check=True
    ).stdout
    assert index.sha256(text) == snapshot.index.raw_sha256
    return {entry.path: entry for entry in index.from_text(text)}


def names(bench: Bench, stream: Stream) -> list[str]:
    """Return what a pack holds, in order."""
    with _archive(bench, stream) as archive:
        return [_name(member) for member in archive]


def rebuilt(bench: Bench, snapshot: Snapshot) -> dict[str, tuple[str, int, bytes | str]]:
    """Return path → kind, mode, content, from each pack exactly what the index assigns to it."""
    held = {stream.pack: _members(bench, stream) for stream in snapshot.streams if stream.pack}
    return {
        path: held[entry.pack][path]
        for path, entry in listed(bench, snapshot).items()
        if entry.kind != "other" and entry.pack
    }


def on_disk(root: Path, *but: str) -> dict[str, tuple[str, int, bytes | str]]:
    """Return the same of a directory."""
    found: dict[str, tuple[str, int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        name, mode = str(path.relative_to(root)), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[name] = ("link", 0o777, str(path.readlink()))
        elif stat.S_ISDIR(mode):
            found[name] = ("dir", stat.S_IMODE(mode), "")
        elif stat.S_ISREG(mode):
            found[name] = ("file", stat.S_IMODE(mode), path.read_bytes())
    return {name: one for name, one in found.items() if name not in but}


def _members(bench: Bench, stream: Stream) -> dict[str, tuple[str, int, bytes | str]]:
    if stream.type == "db":
        return {}
    with _archive(bench, stream) as archive:
        return {_name(member): _member(archive, member) for member in archive}


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[str, int, bytes | str]:
    assert not member.islnk(), "each name has to come out of its pack alone"
    if member.issym():
        return "link", 0o777, member.linkname
    if member.isdir():
        return "dir", member.mode, ""
    content = archive.extractfile(member)
    assert content is not None
    return "file", member.mode, content.read()


def _archive(bench: Bench, stream: Stream) -> tarfile.TarFile:
    body = io.BytesIO(plain(bench, stream))
    return tarfile.open(fileobj=body, encoding="utf-8", errors="surrogateescape")


def _name(member: tarfile.TarInfo) -> str:
    return os.path.normpath(member.name)
