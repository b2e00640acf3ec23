"""Programs that run on hosts: POSIX sh, and PHP for what a host's own tools cannot do."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def program(name: str) -> str:
    """Return the text of one program, such as `survey.sh`."""
    return files("opsplay.engine.host").joinpath(name).read_text(encoding="utf-8")
