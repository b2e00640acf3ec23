"""What today's opsplay writes is read by the frozen reader of format 1, and what format 1 was, by it."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.backup.conftest import KEY, Bench, tree
from tests.backup.test_restore_ways import chain

from opsplay.core.snapshot import from_json, to_json
from opsplay.engine.snapshots import text

pytestmark = pytest.mark.real

READER = Path(__file__).with_name("reader_1.py")
FROZEN = "cbabe955d8a29d9a05df0152c56ea4d4314f2a5f85775d6f01ac43f63b290117"
"""SHA-256 of the reader: it is never changed, see what it says of itself."""


def fetched(bench: Bench, folder: Path) -> Path:
    for one in bench.vault.keys("v1/"):
        (folder / one.key).parent.mkdir(parents=True, exist_ok=True)
        (folder / one.key).write_bytes(text(bench.vault, one.key))
    (folder / "key.txt").write_text(f"{KEY}\n")
    return folder


def read(folder: Path, manifest: str, target: Path) -> subprocess.CompletedProcess[str]:
    """Run the reader with an interpreter that cannot import opsplay, nor anything installed."""
    words = [sys.executable, "-I", "-S", READER, folder, manifest, folder / "key.txt", target]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_frozen_reader_restores_each_of_a_chain(bench: Bench, tmp_path: Path):
    made = chain(bench)
    folder = fetched(bench, tmp_path / "fetched")

    for number, (snapshot, before) in enumerate(made):
        target = tmp_path / f"restored-{number}"
        done = read(folder, snapshot.key, target)

        assert done.returncode == 0, done.stderr
        assert tree(target / "files") == before[0]
        assert (target / "database.sql").stat().st_size == snapshot.streams[0].raw_bytes


def test_the_frozen_reader_finds_damage(bench: Bench, tmp_path: Path):
    snapshot = bench.take()
    folder = fetched(bench, tmp_path / "fetched")
    piece = folder / snapshot.streams[1].segments[0].key
    body = bytearray(piece.read_bytes())
    body[-1] ^= 1
    piece.write_bytes(body)

    done = read(folder, snapshot.key, tmp_path / "restored")

    assert done.returncode == 1
    assert str(snapshot.streams[1].segments[0].key) in done.stderr


def test_the_reader_is_frozen_and_imports_nothing_of_ours():
    source = READER.read_bytes()
    names = {
        one.name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import)
        for one in node.names
    }

    assert hashlib.sha256(source).hexdigest() == FROZEN
    assert names <= set(sys.stdlib_module_names)


def test_what_a_newer_opsplay_adds_to_a_manifest_is_passed_over(bench: Bench):
    """Version N reads what version N + 1 writes, as long as the schema is the same."""
    snapshot = bench.take()
    more = to_json(snapshot).replace(
        b'{\n "attempt"', b'{\n "a_new_field": {"x": [1]},\n "attempt"'
    )

    assert from_json(more) == snapshot


def test_a_manifest_of_the_first_version_is_read(bench: Bench):
    """Version N reads what version N - 1 wrote: without an index, one archive of all files."""
    snapshot = bench.take()
    first = replace(snapshot, index=None, consistency=None)
    known = to_json(first)
    for field in (b"index", b"consistency", b"suspect", b"plan", b"full_because"):
        lines = [line for line in known.split(b"\n") if not line.startswith(b' "%s"' % field)]
        known = b"\n".join(lines)

    assert from_json(known).streams == first.streams
