"""OpenSSH's known_hosts files: who is known, by which key. Format: sshd(8), SSH_KNOWN_HOSTS.

paramiko's own reader knows no patterns, no `@revoked` and no alias, and costs 0.1 s a thousand
lines; this one indexes plain names, hashes only where the file is hashed, and is read once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache
from pathlib import Path


class Verdict(Enum):
    """What known_hosts says of a key."""

    KNOWN = auto()
    UNKNOWN = auto()
    CHANGED = auto()
    REVOKED = auto()


@dataclass(frozen=True)
class Known:
    """One line: a key, and whose it is."""

    names: tuple[str, ...]
    kind: str
    """Such as `ssh-ed25519`."""
    key: str
    """Base64, as in the file."""
    file: Path
    line: int
    """Counts from 1."""
    revoked: bool = False

    def matches(self, name: str) -> bool:
        """Return whether the line speaks of `name`."""
        if any(one[0] == "!" and _pattern(one[1:]).match(name) for one in self.names if one):
            return False
        return any(_one_matches(one, name) for one in self.names)


@dataclass(frozen=True)
class KnownHosts:
    """All lines of some files, in order."""

    plain: dict[str, list[Known]]
    others: list[Known]
    """Lines with hashed names or patterns: each must be looked at."""

    def of(self, name: str) -> list[Known]:
        """Return the lines that speak of `name`, which is `[host]:port` unless the port is 22."""
        return [*self.plain.get(name, ()), *(one for one in self.others if one.matches(name))]

    def judge(self, names: Iterable[str], kind: str, key: str) -> tuple[Verdict, list[Known]]:
        """Return the verdict on a key, and the lines it rests on.

        A host that is known by another kind of key only counts as changed: the kinds that are
        known were asked for first, so the host does not have them any more.
        """
        found = [line for name in names for line in self.of(name)]
        if any(line.revoked and line.key == key for line in found):
            return Verdict.REVOKED, found
        lines = [line for line in found if not line.revoked]
        if any((line.kind, line.key) == (kind, key) for line in lines):
            return Verdict.KNOWN, lines
        return (Verdict.CHANGED if lines else Verdict.UNKNOWN), lines


def read(paths: Iterable[Path]) -> KnownHosts:
    """Return what the files hold; files that do not exist hold nothing. Read once per change."""
    return _index(tuple((path, _stamp(path)) for path in paths))


def names_of(host: str, port: int, alias: str = "") -> tuple[str, ...]:
    """Return the names to look for, best first; OpenSSH tries the bare name last too."""
    if alias:
        return (alias.lower(),)
    name = host.lower()
    return (name,) if port == 22 else (f"[{name}]:{port}", name)  # noqa: PLR2004  # SSH's own port


def fingerprint(key: bytes) -> str:
    """Return the fingerprint as `ssh-keygen -l` prints it, such as `SHA256:…`."""
    digest = hashlib.sha256(key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _index(files: tuple[tuple[Path, tuple[int, int]], ...]) -> KnownHosts:
    plain: defaultdict[str, list[Known]] = defaultdict(list)
    others = []
    for path, stamp in files:
        for line in _lines(path) if stamp != (0, 0) else ():
            if any(set(name) & set("*?!|") for name in line.names):
                others.append(line)
                continue
            for name in line.names:
                plain[name].append(line)
    return KnownHosts(dict(plain), others)


def _lines(path: Path) -> Iterator[Known]:
    text = path.read_text("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        # paramiko verifies no host certificates, so their authorities prove nothing here.
        if len(words) > 2 and marker in ("", "@revoked") and _is_base64(words[2]):  # noqa: PLR2004
            names = tuple(one if one[:1] == "|" else one.lower() for one in words[0].split(","))
            yield Known(names, words[1], words[2], path, number, marker == "@revoked")


def _is_base64(word: str) -> bool:
    try:
        base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _one_matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _hash_matches(pattern, name)
    return not pattern.startswith("!") and bool(_pattern(pattern).match(name))


def _hash_matches(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    # SHA-1 is what the file format says; the name is no secret here.
    return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), digest)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    written = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile(written + r"\Z")
