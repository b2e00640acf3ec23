"""Look into a lab without touching it: fingerprints, versions, pages."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opsplay.lab import database
from opsplay.lab.parts import found
from opsplay.lab.places import LabEnvironment, Places


@dataclass(frozen=True)
class Fingerprint:
    """What an environment holds, to the byte: equal fingerprints are equal installations."""

    files: Mapping[str, str]
    """SHA-256 by path below the root; a symbolic link counts as its target's name."""
    tables: Mapping[str, str]
    """MariaDB's own `CHECKSUM TABLE`, and the number of rows, by table."""

    def difference(self, other: Fingerprint) -> tuple[str, ...]:
        """Return the names of files and tables that differ or are on one side only."""
        ours, theirs = ({**one.files, **one.tables} for one in (self, other))
        return tuple(sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name)))


@dataclass(frozen=True)
class Versions:
    """The WordPress version as three witnesses tell it; empty where a witness says nothing."""

    files: str
    """From wp-includes/version.php."""
    schema: str
    """The option `db_version`."""
    wanted_schema: str
    """The schema that the files expect."""
    page: str
    """From the generator tag of the home page."""


def fingerprint(places: Places, environment: LabEnvironment) -> Fingerprint:
    """Return what the environment holds now; needs no CMS to boot."""
    root = environment.root
    found_files = (one for one in sorted(root.rglob("*")) if one.is_symlink() or one.is_file())
    files = {str(one.relative_to(root)): _digest(one) for one in found_files}
    named = database.execute(places, "SHOW TABLES", environment.database)
    tables = [name for (name,) in named]
    if not tables:
        return Fingerprint(files, {})
    quoted = [f"`{name}`" for name in tables]
    count = " UNION ALL ".join(f"SELECT COUNT(*) FROM {name}" for name in quoted)  # noqa: S608  # names from SHOW TABLES
    asked = f"CHECKSUM TABLE {', '.join(quoted)}; {count}"
    answer = database.execute(places, asked, environment.database)
    both = zip(tables, answer[: len(tables)], answer[len(tables) :], strict=True)
    return Fingerprint(files, {name: f"{one[1]}/{rows[0]}" for name, one, rows in both})


def versions(places: Places, environment: LabEnvironment) -> Versions:
    """Return the version as files, database and page tell it."""
    file = environment.root / "wp-includes" / "version.php"
    exists = file.exists()
    return Versions(
        files=found(r"\$wp_version = '([^']+)'", file) if exists else "",
        schema=_option(places, environment, "db_version"),
        wanted_schema=found(r"\$wp_db_version = (\d+)", file) if exists else "",
        page=_generator(page(f"{environment.url}/")[1]),
    )


def page(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Return status and body of a page, whatever the status; redirects are followed."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode(errors="replace")


def _option(places: Places, environment: LabEnvironment, name: str) -> str:
    if ("wp_options",) not in database.execute(places, "SHOW TABLES", environment.database):
        return ""
    asked = f"SELECT option_value FROM wp_options WHERE option_name = {database.quoted(name)}"  # noqa: S608  # quoted
    rows = database.execute(places, asked, environment.database)
    return rows[0][0] if rows else ""


def _generator(body: str) -> str:
    _before, mark, after = body.partition('content="WordPress ')
    return after.partition('"')[0] if mark else ""


def _digest(file: Path) -> str:
    if file.is_symlink():
        return f"-> {file.readlink()}"
    return hashlib.sha256(file.read_bytes()).hexdigest()
