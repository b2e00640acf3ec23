"""What stands below a site's root, and the SHA-256 of files: asked of the host, in its own tools.

The programs are `engine/host/survey.*` and `hash.*`; here is what they are given and how their
answers are read. GNU find lists 3,400 names in 12 ms; a host without it is asked by PHP, or by
stat(1). Names are bytes there, and text with surrogate escapes here.
"""

from __future__ import annotations

import gzip
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TypeAlias

from opsplay.core.errors import OpsplayError, StepFailed, UnreadableAnswer
from opsplay.core.index import Entry, Kind
from opsplay.core.transport import Transport
from opsplay.engine.host import program
from opsplay.kit.shell import assign

_LETTERS: Final[Mapping[bytes, Kind]] = {b"f": "file", b"d": "dir", b"l": "link"}
_SOME_UNREAD = 123
"""xargs(1): at least one command ended with a status between 1 and 125."""
_LONGEST: Final = 256 << 20
"""Bytes of an answer, packed; unpacked four times that: several million names."""
_HARMLESS = re.compile(r"Permission denied|No such file or directory|Not a directory")
_HEX = re.compile(rb"[0-9a-f]{64} [ *]")


@dataclass(frozen=True)
class Survey:
    """What a host said stands below a root, the root itself left out."""

    entries: tuple[Entry, ...]
    """Sorted by path; without SHA-256 and pack."""
    unreadable: tuple[str, ...]
    """Directories that could not be looked into: what is in them is not listed."""
    how: str
    """`find`, `php` or `stat`: the latter two know whole seconds only."""


PassedOver: TypeAlias = Callable[[bytes, bytes], bool]
"""(record, target) → whether the caller needs to know no more of it; see `engine/host/survey.sh`."""


def survey(
    transport: Transport,
    root: str,
    left_out: str,
    site: str = "",
    passed_over: PassedOver = lambda _record, _target: False,
) -> Survey:
    """List every name below `root`; `left_out` is a script that prints one pattern a line.

    Names that are `passed_over` are not among the entries: reading them costs most of the time.

    Raises:
        StepFailed: there is no such directory, or the list is not whole.
        LineCut, Unreachable: the host.
    """
    try:
        answer = _asked(transport, survey_script(root, left_out), b"", site)
        return read_survey(answer, passed_over)
    except OpsplayError as error:
        error.site = error.site or site
        raise


def hashes(
    transport: Transport, root: str, paths: Sequence[str], site: str = ""
) -> Mapping[str, str]:
    """Return the hexadecimal SHA-256 by path; one that could not be read is not among them.

    Raises:
        StepFailed: the host did not come to an end with it.
        LineCut, Unreachable: the host.
    """
    if not paths:
        return {}
    try:
        answer = _asked(transport, hash_script(root), hash_input(paths), site)
        return read_hashes(paths, answer)
    except OpsplayError as error:
        error.site = error.site or site
        raise


def survey_script(root: str, left_out: str) -> str:
    """Return the script whose answer `read_survey` reads."""
    php = program("survey.php").removeprefix("<?php\n")
    words = f"left_out() {{ (\n{left_out}\n) }}"
    return "\n".join([words, assign("root", root), assign("survey_php", php), program("survey.sh")])


def hash_script(root: str) -> str:
    """Return the script that reads `hash_input` and whose answer `read_hashes` reads."""
    php = program("hash.php").removeprefix("<?php\n")
    return "\n".join([assign("root", root), assign("hash_php", php), program("hash.sh")])


def hash_input(paths: Sequence[str]) -> bytes:
    """Return what `hash_script` reads on its standard input."""
    return gzip.compress(b"".join(on_host(path) + b"\0" for path in paths), 1)


def on_host(path: str) -> bytes:
    """Return a path of an entry as the host has it, below the root."""
    return b"./" + path.encode("utf-8", "surrogateescape")


def read_survey(answer: bytes, passed_over: PassedOver = lambda _record, _target: False) -> Survey:
    """Return what the host listed.

    Raises:
        StepFailed: the list is not whole.
        UnreadableAnswer: it is no list.
    """
    fields = _unpacked(answer).split(b"\0")
    pairs = zip(fields[::2], fields[1::2], strict=False)
    entries: list[Entry] = []
    unreadable: list[str] = []
    for record, target in pairs:
        if passed_over(record, target):
            continue
        word, _, rest = record.partition(b" ")
        if word == b"end":
            entries.sort(key=lambda entry: entry.path)
            return Survey(tuple(entries), tuple(sorted(unreadable)), _how(rest))
        if word == b"unreadable":
            unreadable.append(_path(rest))
        else:
            entries.append(_entry(record, target))
    raise StepFailed("the list of the site's files has no end", state="nothing was saved")


def read_hashes(paths: Sequence[str], answer: bytes) -> dict[str, str]:
    """Return SHA-256 by path, read in the order of `paths`, whatever their names hold.

    Raises:
        StepFailed: the host did not come to an end with it.
        UnreadableAnswer: a line belongs to none of the paths.
    """
    said = _unpacked(answer)
    found: dict[str, str] = {}
    at = 0
    for path in paths:
        start = at + 1 if said[at : at + 1] == b"\\" else at
        if _HEX.match(said, start) and (end := _after(said, start + 66, on_host(path))):
            found[path] = said[start : start + 64].decode()
            at = end
    ended = re.fullmatch(rb"end (\d+)\n", said[at:])
    if not ended:
        raise UnreadableAnswer(f"the host said {said[at : at + 200]!r} in place of a SHA-256")
    if int(ended[1]) not in {0, _SOME_UNREAD}:
        raise StepFailed(f"the files' SHA-256 could not be found out: status {ended[1].decode()}")
    return found


def _after(said: bytes, at: int, name: bytes) -> int:
    """Return where the line ends if it names `name`, escaped or not; else 0."""
    for spelt in _spellings(name):
        if said.startswith(spelt + b"\n", at):
            return at + len(spelt) + 1
    return 0


def _spellings(name: bytes) -> Iterator[bytes]:
    """Yield a name as it is, as openssl(1) and as sha256sum(1) write it."""
    yield name
    if b"\n" in name or b"\\" in name or b"\r" in name:
        yield name.replace(b"\n", b"\\n")
        escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        yield escaped
        yield escaped.replace(b"\r", b"\\r")


def _asked(transport: Transport, script: str, stdin: bytes, site: str) -> bytes:
    channel = transport.open(script)
    try:
        if stdin:
            _told(channel.send, stdin)
        channel.send_eof()
        answer = b"".join(_no_more(iter(channel.receive, b"")))
        ended = channel.finish(60)
    finally:
        channel.close()
    unknown = [line for line in ended.stderr.splitlines() if not _HARMLESS.search(line)]
    if not ended.ok or not answer:
        why = " ".join((unknown or ended.stderr.splitlines())[-3:])
        raise StepFailed(f"the site's files could not be listed: {why}", site=site)
    return answer


def _told(send: Callable[[bytes], None], stdin: bytes) -> None:
    try:
        send(stdin)
    except BrokenPipeError:
        return  # it ended early, and its status says why


def _no_more(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the parts of an answer; a host that never stops talking must not fill our memory."""
    size = 0
    for part in parts:
        size += len(part)
        if size > _LONGEST:
            raise UnreadableAnswer("the host says more of its files than any site could have")
        yield part


def _unpacked(answer: bytes) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(answer, 4 * _LONGEST)
    except zlib.error as error:
        raise StepFailed(f"what the host said of its files is damaged: {error}") from error
    if not unpacker.eof:
        raise StepFailed("what the host said of its files is cut short, or longer than any site's")
    return plain


def _how(rest: bytes) -> str:
    status, _, how = rest.decode(errors="replace").partition(" ")
    if status not in {"0", "1"}:
        raise StepFailed(f"the site's files could not be listed: {how} ended with status {status}")
    return how


def _entry(record: bytes, target: bytes) -> Entry:
    try:
        if record.startswith(b"x"):
            raw, size, mtime, ctime, inode, path = record[1:].split(b" ", 5)
            kind, mode = _kind(int(raw, 16)), stat.S_IMODE(int(raw, 16))
        else:
            letter, octal, size, mtime, ctime, inode, path = record.split(b" ", 6)
            kind, mode = _LETTERS.get(letter, "other"), int(octal, 8)
        return Entry(
            path=_path(path),
            kind=kind,
            mode=mode,
            size=int(size) if kind == "file" else 0,
            mtime=_nanoseconds(mtime),
            ctime=_nanoseconds(ctime),
            inode=int(inode),
            target=target.decode("utf-8", "surrogateescape") if kind == "link" else "",
        )
    except ValueError:
        _misheard(record)


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "dir"
    return "link" if stat.S_ISLNK(mode) else "other"


def _nanoseconds(text: bytes) -> int:
    seconds, _, fraction = text.partition(b".")
    return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))


def _path(name: bytes) -> str:
    if not name.startswith(b"./"):
        _misheard(name)
    return name[2:].decode("utf-8", "surrogateescape")


def _misheard(record: bytes) -> NoReturn:
    raise UnreadableAnswer(f"the host said {record[:200]!r} in place of a file's name")
