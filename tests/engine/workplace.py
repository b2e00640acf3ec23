"""An ops repository whose sites live on this machine, in a home directory of their own."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opsplay import app
from opsplay.app.options import Options, RunResult
from opsplay.core.event import Event
from opsplay.journal import Journal
from opsplay.kit.clock import SystemClock

SITES = ("bakery",)


@dataclass(frozen=True)
class Workplace:
    """Folders below `folder`: `ops` (the repository), `home` (of the host), one a site."""

    folder: Path
    sites: tuple[str, ...] = SITES
    cms: str = "paper-test-cms"
    vault: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    host: str = "local"
    """Where the sites are; another than `local` is reached as the file `ssh` says."""
    ssh: str = ""

    def build(self) -> Workplace:
        """Make all of it; the caller has set `$HOME` to `home`."""
        for name in ("ops/inventory", "home"):
            (self.folder / name).mkdir(parents=True)
        for site in self.sites:
            for environment in ("production", "staging"):
                root = self.root(site, environment)
                root.mkdir()
                (root / "version").write_text("1.0\n")
                (root / "schema").write_text("1.0\n")
        (self.folder / "ops/inventory/sites.yaml").write_text(self._inventory())
        return self

    def root(self, site: str = "bakery", environment: str = "production") -> Path:
        return self.folder / f"{site}-{environment}"

    def offer(self, version: str) -> None:
        for site in self.sites:
            for environment in ("production", "staging"):
                root = self.root(site, environment)
                root.with_name(f"{root.name}.offer").write_text(f"{version}\n")

    def diary(self, site: str = "bakery", environment: str = "production") -> list[str]:
        path = self.folder / f"{site}-{environment}.diary"
        return path.read_text().split() if path.exists() else []

    def playbook(self, stages: str, head: str = "", name: str = "book.yaml") -> Path:
        path = self.folder / "ops" / name
        path.write_text(f"name: Test\nsites: all\n{head}\nstages:\n{textwrap.dedent(stages)}")
        return path

    @property
    def options(self) -> Options:
        ops = self.folder / "ops"
        return Options(inventory=ops / "inventory", state=ops / ".opsplay")

    def run(self, stages: str, head: str = "") -> RunResult:
        return app.run(self.playbook(stages, head), self.options)

    @property
    def events(self) -> tuple[Event, ...]:
        journal = Journal(self.options.state / "journal.db", SystemClock())
        try:
            return journal.events()
        finally:
            journal.close()

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Return everything on the host and in the sites: path → mode and content."""
        places = [self.folder / "home", *self.folder.glob("*-production*")]
        places += self.folder.glob("*-staging*")
        paths = [path for place in places for path in (place, *place.rglob("*"))]
        return {
            str(path.relative_to(self.folder)): (
                path.stat().st_mode,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in paths
        }

    def _inventory(self) -> str:
        lines = [
            "client: A client",
            *([f"ssh: {{config: {self.ssh}}}"] if self.ssh else []),
            "sites:",
        ]
        for site in self.sites:
            lines += [f"  {site}:", f"    cms: {self.cms}"]
            lines += [f"    vault: {self.vault}"] if self.vault else []
            lines += ["    environments:"]
            for name in ("production", "staging"):
                root, url = self.root(site, name), f"http://{site}-{name}.example"
                lines.append(f'      {name}: {{host: {self.host}, root: "{root}", url: "{url}"}}')
        return "\n".join([*lines, *self.variables.values(), ""])


def count(events: tuple[Event, ...], kind: str) -> int:
    return sum(event.kind == kind for event in events)


def in_a_process_that_dies(point: int, work: Callable[[], object]) -> bool:
    """Do `work` in a child that gets SIGKILL at a journal write; return whether it died.

    Point 2k: right before write number k is on the disk. Point 2k+1: right after it.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the run itself broke"
        return os.WIFSIGNALED(status)
    try:
        _arm(point)
        work()
        os._exit(0)
    finally:
        os._exit(1)


def _arm(point: int) -> None:
    append, written = Journal.append_all, [0]  # every write goes through it, `append` too

    def dying(self: Journal, *words: object, **named: object) -> tuple[Event, ...]:
        number, written[0] = written[0], written[0] + 1
        if point == 2 * number:
            os.kill(os.getpid(), signal.SIGKILL)
        events = append(self, *words, **named)
        if point == 2 * number + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return events

    Journal.append_all = dying
