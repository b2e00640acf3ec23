"""Canaries: every secret of a run is looked for wherever it must not be, while it runs and after.

Where secrets are known to be, and must be: a site's own `wp-config.php`; the encrypted backups,
which only the age identity opens; and the restore point of a production stage, which is that same
code on the same host, compressed, in a directory that nobody else may enter.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote, quote_plus

import pytest
from tests.stories import bucket
from tests.stories.conftest import Ops

from opsplay.lab import Lab

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.timeout(300)]

TOKEN = "canary-5b1f77c0d2e94a86'\"$x `\\#;% ü"
COMMAND = """\
name: A command with a secret
sites: bakery
stages:
  - name: Call
    steps:
      - command:
          run: 'sleep 0.3; test -n "$API_TOKEN"; echo "told $API_TOKEN"; echo "$API_TOKEN" >&2'
          secrets: [{name: API_TOKEN, value: {secret: "env:API_TOKEN"}}]
"""


def written(secret: str) -> Iterator[bytes]:
    """Yield the ways in which a secret may stand in a file."""
    raw = secret.encode()
    yield raw
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret, ensure_ascii=False)[1:-1].encode()
    yield json.dumps(json.dumps(secret))[3:-3].encode()
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    yield secret.replace("'", "'\\''").encode()
    yield secret.replace("'", "'\"'\"'").encode()
    yield secret.replace("\\", "\\\\").replace("'", "\\'").encode()
    yield raw.hex().encode()
    for offset in range(3):  # base64 of a text that holds it, wherever it begins
        code = base64.b64encode(bytes(offset) + raw)
        yield code[(0, 2, 3)[offset] : -4]
    yield from re.findall(rb"[0-9A-Za-z]{16,}", raw)  # its longest plain part, whatever the rest


@dataclass
class Canaries:
    """The secrets by their names, and where each was found."""

    secrets: dict[str, str]
    searched: int = 0
    found: list[str] = field(default_factory=list)
    _forms: dict[str, list[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, one in self.secrets.items():
            forms = sorted(set(written(one)), key=len)
            self._forms[name] = [  # what holds another form is found by that one
                form for form in forms if not any(other in form for other in forms if other != form)
            ]

    def seen_in(self, body: bytes) -> list[str]:
        return [name for name, forms in self._forms.items() if any(one in body for one in forms)]

    def search(self, place: str, body: bytes | str) -> None:
        self.searched += 1
        text = os.fsencode(body) if isinstance(body, str) else body
        self.found += [f"{name} in {place}" for name in self.seen_in(text)]

    def search_files(self, root: Path, sparing: Iterable[str] = (), since: float = 0.0) -> None:
        for path in sorted(root.rglob("*")):
            if path.name in sparing or path.is_symlink():
                continue
            self.search(f"the name of {path}", str(path))
            try:
                if path.is_file() and path.stat().st_mtime >= since:
                    self.search(str(path), path.read_bytes())
            except (FileNotFoundError, PermissionError):
                continue


class Watcher:
    """Reads the command lines and environments of all new processes, again and again."""

    def __init__(self, canaries: Canaries, sparing: Iterable[int], allowed: str = "") -> None:
        self.polls = 0
        self.processes: set[str] = set()
        self.found: set[str] = set()
        self._canaries = canaries
        self._allowed = allowed
        self._old = {str(os.getpid()), *map(str, sparing), *_pids()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.polls += 1
            for pid in set(_pids()) - self._old:
                self._look(pid)

    def _look(self, pid: str) -> None:
        self.processes.add(pid)
        for what in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{what}", "rb", buffering=0) as file:  # noqa: PTH123
                    body = file.read()
            except OSError:  # it has ended, or is nobody's business
                continue
            names = self._canaries.seen_in(body)
            if what == "environ":
                names = [name for name in names if name != self._allowed]
                names += ["MYSQL_PWD"] if b"\0MYSQL_PWD=" in b"\0" + body else []
            self.found |= {f"{name} in the {what} of a process" for name in names}


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - speed matters


def canaries_of(lab: Lab) -> Canaries:
    facts = lab.facts
    identity = Path(facts["lab_age_identity_file"]).read_text()
    secrets = {
        "the age identity": re.search(r"^AGE-SECRET-KEY-\S+", identity, re.MULTILINE)[0],
        "the S3 secret key": Path(facts["lab_s3_daily_secret_key_file"]).read_text().strip(),
        "the S3 key that may delete": Path(facts["lab_s3_expiry_secret_key_file"])
        .read_text()
        .strip(),
        "the API token": TOKEN,
    }
    for one in ("production", "staging"):
        file = Path(facts[f"bakery_{one}_database_password_file"])
        secrets[f"the database password of {one}"] = file.read_text().strip("\n")
    return Canaries(secrets)


@pytest.fixture
def canaries(ops: Ops) -> Canaries:
    return canaries_of(ops.lab)


def test_the_search_finds_a_canary_in_every_form(canaries):
    for name, secret in canaries.secrets.items():
        wrapped = base64.b64encode(f"user:{secret}:x".encode())
        forms = (json.dumps({"password": secret}).encode(), quote(secret).encode(), wrapped)
        for body in (secret.encode(), *forms):
            assert canaries.seen_in(b"before " + body + b" after") == [name]
    with Watcher(canaries, ()) as watcher:
        program = "import time; time.sleep(0.3)"
        token = {"MYSQL_PWD": "x", "PATH": os.environ["PATH"]}
        subprocess.run([sys.executable, "-c", program, TOKEN], env=token, check=True)
    assert watcher.found == {
        "the API token in the cmdline of a process",
        "MYSQL_PWD in the environ of a process",
    }


@pytest.mark.proof
def test_no_secret_of_an_update_and_a_restore_is_found_anywhere(ops, canaries, record_property):
    lab, started = ops.lab, time.time()
    with Watcher(canaries, lab.processes.daemon_pids(), allowed="the API token") as watcher:
        said = [
            ops("run", "playbooks/update.yaml", "--limit", "bakery", "--debug"),
            ops("run", ops.write("command.yaml", COMMAND), API_TOKEN=TOKEN),
            ops("restore", "bakery", "--yes", "--json"),
            ops("logs", "last"),
            ops("logs", "last", "--json"),
        ]
    assert [one.exit_status for one in said] == [0] * 5, "\n\n".join(one.text for one in said)

    for number, one in enumerate(said):
        canaries.search(f"output {number}", one.stdout)
        canaries.search(f"errors {number}", one.stderr)
    search_controller(ops, canaries)
    search_hosts(lab, canaries)
    search_bucket(lab, canaries)
    canaries.search_files(Path(tempfile.gettempdir()), since=started)

    assert canaries.found == []
    assert watcher.found == set()
    figures = (
        f"{canaries.searched} places searched; {watcher.polls} polls of"
        f" {len(watcher.processes)} processes' command lines and environments"
    )
    record_property("secrets", figures)
    print(f"\n{figures}")
    look_at_restore_points(lab, canaries)


def search_controller(ops: Ops, canaries: Canaries) -> None:
    canaries.search_files(ops.folder / ".opsplay")
    assert (ops.folder / ".opsplay" / "journal.db").exists()
    with sqlite3.connect(ops.journal) as journal:  # a page's end may cut a canary in two
        for row in journal.execute("SELECT * FROM events"):
            canaries.search("the journal", " ".join(map(str, row)))


def search_hosts(lab: Lab, canaries: Canaries) -> None:
    for host in ("web1", "web2", "web3"):
        canaries.search_files(lab.places.home(host), sparing=["wp-config.php"])
    canaries.search_files(lab.places.logs)
    canaries.search_files(lab.places.web)


def search_bucket(lab: Lab, canaries: Canaries) -> None:
    stored = bucket.objects(lab)
    assert any(".age." in key for key in stored)
    for key, body in stored.items():
        canaries.search(f"the name {key}", key)
        canaries.search(f"object {key}", body)


def look_at_restore_points(lab: Lab, canaries: Canaries) -> None:
    """Say what is honest: a restore point holds the site's own wp-config.php, for nobody else."""
    home = lab.places.home("web1")
    (point,) = (home / ".opsplay" / "runs").rglob("restore-point")
    assert "bakery-production" in str(point)
    for private in (point, home / ".opsplay"):
        assert private.stat().st_mode & 0o777 == 0o700, private
    for file in point.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    names = {}
    for name in ("code.tar", "database.sql"):
        unpacked = subprocess.run(
            ["zstd", "-dcq", point / name], capture_output=True, check=True
        ).stdout
        names[name] = canaries.seen_in(unpacked)
    assert names == {"code.tar": ["the database password of production"], "database.sql": []}
