"""What a drill saw of a restored site, and how its notes on the host are read. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from opsplay.core.drivers import Facts
from opsplay.engine.pages import Sight
from opsplay.kit.shell import quote


@dataclass
class Seen:
    """What a trial found out, as far as it came."""

    sums: Mapping[str, str] | None = None
    """SHA-256 by path, of the files as they came back; None: it did not come so far."""
    marks: Mapping[str, str] | None = None
    """Watermarks of the database as it came back."""
    safe: bool | None = None
    facts: Facts | None = None
    sights: tuple[Sight, ...] = ()
    complaints: tuple[str, ...] = ()
    """About the pages."""
    errors: dict[str, str] = field(default_factory=dict)
    """What could not be asked, and why."""
    times: Mapping[str, float] = field(default_factory=dict)
    """Seconds since 1970, by the host's clock, at which parts were in place."""


def read_sums(text: bytes) -> Mapping[str, str]:
    r"""Return SHA-256 by path from what `sha256sum` printed; odd names are escaped there.

    >>> read_sums(b"ab  ./x\n\\cd  ./a\\nb\n")
    {'x': 'ab', 'a\nb': 'cd'}
    """
    found = {}
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        digest, mark, path = line.removeprefix("\\").partition("  ")
        if mark:
            name = re.sub(r"\\(.)", _unescaped, path) if line.startswith("\\") else path
            found[name.removeprefix("./")] = digest
    return found


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(found[1], found[1])


def read_times(text: bytes) -> Mapping[str, float]:
    """Return the moments by name; a `date` that knows no %N prints the letters.

    >>> read_times(b"files 12.5" + bytes([10]) + b"database 14.%N")
    {'files': 12.5, 'database': 14.0}
    """
    pairs = (line.split(" ") for line in text.decode("ascii", "replace").splitlines())
    return {name: float(re.sub(r"[^0-9.].*", "", at) or 0) for name, at in pairs}


def after_files(root: str) -> str:
    """Return the script that notes the SHA-256 of every file, before any is changed."""
    sums = f'( cd {quote(root)} && find . -type f -exec sha256sum {{}} + ) >"$work/files"'
    return f"{_now('files')}\n{sums} || exit 1\n{_now('files-checked')}\n"


def after_database(marks: str) -> str:
    """Return the script that notes how far the database is, before anything writes to it."""
    noted = f'(\n{marks}\n) >"$work/marks" 2>"$work/marks.err"'
    return f"{_now('database')}\n{noted}\n{_now('database-checked')}\n"


def _now(name: str) -> str:
    return f'mkdir -p "$work" && echo "{name} $(date +%s.%N)" >>"$work/times"'
