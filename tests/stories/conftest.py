"""An ops repository on the lab, and the command line in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opsplay.lab import Lab

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    exit_status: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]


@dataclass(frozen=True)
class Ops:
    """An ops repository whose inventory is the lab's."""

    folder: Path
    lab: Lab

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from opsplay.cli import main; main()", *words]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "NO_COLOR": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, timeout: float = 300, **environment: str) -> Said:
        process = self.start(*words, **environment)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Said(process.returncode, stdout, stderr)

    def write(self, name: str, text: str) -> str:
        path = self.folder / "playbooks" / name
        path.write_text(text)
        return f"playbooks/{name}"

    @property
    def journal(self) -> Path:
        return self.folder / ".opsplay" / "journal.db"

    def kinds(self, run: str = "last") -> list[str]:
        return [event["event"] for event in self.events(run)]

    def events(self, run: str = "last") -> list[dict[str, Any]]:
        import sqlite3

        with sqlite3.connect(self.journal) as db:
            if run == "last":
                (run,) = db.execute("SELECT max(run) FROM events").fetchone()
            rows = db.execute(
                "SELECT sequence, kind, site, data FROM events WHERE run = ? ORDER BY sequence",
                (run,),
            ).fetchall()
        return [
            {"sequence": sequence, "kind": kind, "site": site, **json.loads(data), "event": kind}
            for sequence, kind, site, data in rows
        ]


@pytest.fixture
def ops(fresh_lab: Lab, tmp_path: Path) -> Ops:
    """A new ops repository beside a lab whose sites are as they were at first."""
    folder = tmp_path / "ops"
    folder.mkdir()
    shutil.copytree(REPOSITORY / "playbooks", folder / "playbooks")
    shutil.copytree(REPOSITORY / "inventory", folder / "inventory")
    (folder / ".lab").symlink_to(fresh_lab.places.directory)
    for site in ("bakery", "florist"):
        # The first visitor makes WordPress write options of its own.
        fresh_lab.page(fresh_lab.environment(site, "production").url)
    return Ops(folder, fresh_lab)
