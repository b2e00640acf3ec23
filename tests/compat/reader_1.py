"""Reads backups of format 1. Frozen: it is never changed, so that every later opsplay writes what it reads.

Stands alone: Python's own library, and the programs age, zstd, gzip and tar. It imports nothing of
opsplay, and was written from what the format says of itself, the README.txt beside the backups and
the manifests. A change of opsplay that makes the test beside it fail breaks backups that people
have: it needs another schema number, and a `reader_2.py`.

    python reader_1.py FOLDER MANIFEST IDENTITY TARGET

FOLDER holds the objects under their keys; MANIFEST is one key below it. The files go to
TARGET/files, the dump to TARGET/database.sql; the status is 0 only if every sum is right.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

PLAIN = {"zstd": ["zstd", "-dcq"], "gzip": ["gzip", "-dc"], "none": ["cat"]}


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def insist(right: bool, what: str) -> None:
    if not right:
        sys.exit(f"wrong: {what}")


def plain(folder: Path, segments: list[dict], unpack: list[str], identity: str, to: Path) -> str:
    """Write the plain bytes of some segments to a file; return their SHA-256."""
    whole = to.with_name(f"{to.name}.whole")
    with whole.open("wb") as file:
        for segment in segments:
            piece = folder / segment["key"]
            insist(piece.stat().st_size == segment["bytes"], f"size of {segment['key']}")
            insist(sha256(piece) == segment["sha256"], f"SHA-256 of {segment['key']}")
            file.write(piece.read_bytes())
    decrypt = subprocess.Popen(["age", "-d", "-i", identity, whole], stdout=subprocess.PIPE)
    with to.open("wb") as out:
        status = subprocess.run(unpack, stdin=decrypt.stdout, stdout=out, check=False).returncode
    insist(decrypt.wait() == 0 and status == 0, f"decryption of {segments[0]['key']}")
    whole.unlink()
    return sha256(to)


def unescaped(text: bytes) -> bytes:
    pieces = text.split(b"\\\\")
    return b"\\".join(one.replace(b"\\n", b"\n").replace(b"\\t", b"\t") for one in pieces)


def rows(text: bytes) -> list[list[bytes]]:
    lines = text.split(b"\n")
    insist(lines[0] == b"#opsplay-index 1", "first line of the index")
    insist(lines[-2:] == [b"#end %d" % (len(lines) - 3), b""], "last line of the index")
    return [line.split(b"\t") for line in lines[1:-2]]


def pack_of(stream: dict) -> str:
    return stream["segments"][0]["key"].rpartition("/")[2].rpartition(".")[0]


def extract(archive: Path, names: list[bytes], root: Path) -> None:
    listed = archive.with_name(f"{archive.name}.names")
    listed.write_bytes(b"".join(name + b"\n" for name in names))
    words = ["tar", "-C", root, "-xpf", archive, "--no-recursion", "-T", listed]
    insist(subprocess.run(words, check=False).returncode == 0, f"contents of {archive.name}")
    listed.unlink()


def check(row: list[bytes], root: Path) -> None:
    kind, mode, _size, _mtime, _ctime, _inode, sum_, pack, path, target = row
    if pack == b"-" or kind == b"other":
        return
    place = root / os.fsdecode(unescaped(path))
    found = place.lstat()
    match kind:
        case b"file":
            insist(sha256(place) == sum_.decode(), f"SHA-256 of {place}")
        case b"dir":
            insist(stat.S_ISDIR(found.st_mode), f"directory {place}")
        case b"link":
            insist(os.fsencode(place.readlink()) == unescaped(target), f"link {place}")
    if kind != b"link":
        insist(stat.S_IMODE(found.st_mode) == int(mode, 8), f"mode of {place}")


def main(folder: Path, manifest: str, identity: str, target: Path) -> None:
    data = json.loads((folder / manifest).read_text())
    insist(data["schema"] == 1 and data["crypto"] == "age", "schema")
    root = target / "files"
    root.mkdir(parents=True)
    packs = {pack_of(stream): stream for stream in data["streams"] if stream["type"] == "files"}
    listed: list[list[bytes]] = []
    if index := data.get("index"):
        text = target / "index.tsv"
        sum_ = plain(folder, [index["segment"]], ["gzip", "-dc"], identity, text)
        insist(sum_ == index["raw_sha256"], "SHA-256 of the index")
        listed = rows(text.read_bytes())
        insist({row[7].decode() for row in listed} - {"-"} <= packs.keys(), "archives of the index")
        text.unlink()
    for name, stream in packs.items():
        archive = target / name
        sum_ = plain(folder, stream["segments"], PLAIN[stream["compression"]], identity, archive)
        insist(sum_ == stream["raw_sha256"], f"SHA-256 of {name}")
        names = [b"." if row[8] == b"." else b"./" + row[8] for row in listed
                 if row[7].decode() == name]  # fmt: skip
        if index:
            extract(archive, names, root)
        else:
            words = ["tar", "-C", root, "-xpf", archive]
            insist(subprocess.run(words, check=False).returncode == 0, f"contents of {name}")
        archive.unlink()
    for row in listed:
        check(row, root)
    for stream in data["streams"]:
        if stream["type"] == "db":
            dump = target / "database.sql"
            sum_ = plain(folder, stream["segments"], PLAIN[stream["compression"]], identity, dump)
            insist(sum_ == stream["raw_sha256"], "SHA-256 of the dump")
            insist(b"-- Dump completed" in dump.read_bytes()[-200:], "last line of the dump")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
