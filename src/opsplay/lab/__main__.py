"""`python -m opsplay.lab up|down|status|reset [--dir .lab] [--site NAME]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from opsplay.core.errors import OpsplayError
from opsplay.lab.laboratory import Lab, take_down


def _say(text: str) -> None:
    print(f"lab: {text}", flush=True)


def _status(directory: Path) -> int:
    status = Lab.status(directory)
    for name, runs in status.daemons.items():
        _say(f"{name:10} {'runs' if runs else 'does not run'}")
    for name, address in status.pages.items():
        _say(f"{name:20} {address}")
    if not status.daemons:
        _say(f"no lab in {status.directory}")
    return 0 if status.up else 1


def main(words: list[str] | None = None) -> int:
    """Do what the words ask; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m opsplay.lab")
    parser.add_argument("verb", choices=("up", "down", "status", "reset"))
    parser.add_argument("--dir", type=Path, default=Path(".lab"))
    parser.add_argument("--site", default=None)
    asked = parser.parse_args(words)
    try:
        if asked.verb == "up":
            Lab.up(asked.dir, progress=_say)
        elif asked.verb == "down":
            take_down(asked.dir)
        elif asked.verb == "reset":
            Lab.at(asked.dir).reset(asked.site)
    except OpsplayError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_status
    return 0 if asked.verb == "down" else _status(asked.dir)


if __name__ == "__main__":
    sys.exit(main())
