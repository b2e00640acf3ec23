"""Runs the driver's scripts on a lab site as the engine would, without the engine."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path
from typing import TypeVar

from opsplay.cms.wordpress import WordPress
from opsplay.core.environment import Environment, Host
from opsplay.core.query import Answer, Query
from opsplay.engine.probe import bundle, unbundle
from opsplay.lab import Lab

T = TypeVar("T")


class Installation:
    """One lab environment, its driver, and a run directory of its own."""

    def __init__(self, lab: Lab, site: str, name: str, *, error_log: str = "") -> None:
        self.lab, self.site, self.name = lab, site, name
        self.place = lab.environment(site, name)
        self.root = self.place.root
        self.home = lab.places.home(self.place.host)
        self.run_directory = self.home / ".opsplay" / "runs" / uuid.uuid4().hex
        self.run_directory.mkdir(parents=True, mode=0o700)
        here = Environment(name, Host("local"), str(self.root), self.place.url, error_log)
        self.cms = WordPress(here)

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.home}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "https_proxy": self.lab.facts["lab_source_url"],
            "no_proxy": "127.0.0.1,localhost",
            "OPSPLAY_RUN_DIR": str(self.run_directory),
        }

    def start(self, script: str) -> subprocess.Popen[bytes]:
        """Start a script in a process group of its own, as the engine does."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            ["sh", "-c", script],
            env=self.variables,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )

    def raw(self, script: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        with self.start(script) as process:
            out, error = process.communicate(stdin, timeout=120)
        return process.returncode, out, error.decode(errors="replace")

    def run(self, script: str, stdin: bytes = b"") -> Answer:
        status, out, error = self.raw(script, stdin)
        return Answer(status, out.decode(errors="replace"), error)

    def must(self, script: str, stdin: bytes = b"") -> str:
        answer = self.run(script, stdin)
        assert answer.ok, f"{answer.stdout}\n{answer.stderr}"
        return answer.stdout

    def ask(self, query: Query[T]) -> T:
        script, mark = bundle([query.asked])
        return query.read(unbundle(self.run(script), mark, 1)[0])

    def package(self, name: str) -> str:
        kind = "release" if name.startswith("wordpress-") else "plugin"
        return f"{self.lab.facts['lab_source_url']}/{kind}/{name}.zip"

    def fingerprint(self):
        return self.lab.fingerprint(self.site, self.name)

    def page(self, path: str = "/", **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.lab.page(f"{self.place.url}{path}", named)

    def sql(self, statements: str):
        return self.lab.sql(self.site, self.name, statements)


def tree(directory: Path) -> set[str]:
    """Return every path below a directory."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}
