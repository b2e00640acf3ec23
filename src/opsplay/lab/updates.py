"""The update source as a daemon of the lab."""

from __future__ import annotations

import os
import sys

from opsplay.lab.listening import answers
from opsplay.lab.parts import Parts
from opsplay.lab.places import Places
from opsplay.lab.processes import Daemon


def source_daemon(places: Places, parts: Parts) -> Daemon:
    """Return the update source; it finds opsplay, and is measured, as its starter is."""
    port = places.port("source")
    words = (
        sys.executable,
        "-m",
        "opsplay.lab.source",
        str(port),
        str(places.source / "offers.json"),
        str(parts.directory),
    )
    kept = ("COVERAGE_", "PYTHONPATH")
    env = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    return Daemon("source", words, lambda: answers(port), env=env)
