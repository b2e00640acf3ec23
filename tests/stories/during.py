"""What the stories need to do something to a run while it is under way."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Callable

from tests.stories.conftest import Ops, Said


def wait_for(
    happened: Callable[[], object], process: subprocess.Popen[str], patience: float = 90.0
) -> None:
    """Wait until it has happened; a run that ended before is a failure, with all it said."""
    ends = time.monotonic() + patience
    while not happened():
        if process.poll() is not None:
            said = heard(process)
            raise AssertionError(f"the run ended too early ({said.exit_status}): {said.text}")
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)


def heard(process: subprocess.Popen[str], patience: float = 240.0) -> Said:
    """Return what a started command said, once it has ended."""
    try:
        stdout, stderr = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Said(process.returncode, stdout, stderr)


def journalled(ops: Ops, event: str, **data: object) -> Callable[[], bool]:
    """Return the question whether the newest run has such an event by now."""

    def ask() -> bool:
        if not ops.journal.exists():
            return False
        try:
            events = ops.events()
        except (sqlite3.OperationalError, TypeError):  # the table, or its first row, is not there
            return False
        return any(
            one["event"] == event and all(one.get(name) == wanted for name, wanted in data.items())
            for one in events
        )

    return ask


def locks(ops: Ops, host: str) -> list[str]:
    """Return the names of the locks that are held on a host."""
    return sorted(path.name for path in ops.lab.places.home(host).glob(".opsplay/locks/*"))


def is_open(ops: Ops, site: str, environment: str = "production") -> bool:
    """Return whether visitors see the site, and nothing of the closed door is left."""
    place = ops.lab.environment(site, environment)
    left = [
        place.root / ".maintenance",
        place.root / "wp-content/mu-plugins/opsplay-closed.php",
    ]
    return ops.lab.page(f"{place.url}/")[0] == 200 and not any(one.exists() for one in left)


def on_host(ops: Ops, host: str, command: str) -> str:
    """Return what a command said on a host of the lab, asked over SSH."""
    words = ["ssh", "-F", ops.lab.facts["lab_ssh_config"], f"lab-{host}", command]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
