"""Puts a script together from the `*.sh` and `*.php` files of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from opsplay.kit.shell import assign


@cache
def _text(name: str) -> str:
    return files("opsplay.cms.wordpress").joinpath(name).read_text(encoding="utf-8")


def php(*names: str) -> str:
    """Return the named PHP files as one program."""
    first, *others = (_text(f"{name}.php") for name in names)
    return first + "".join(other.removeprefix("<?php\n") for other in others)


def script(
    parts: Iterable[str], values: Mapping[str, str], *, before: str = "", after: str = ""
) -> str:
    """Return a POSIX sh script: variables, the prelude, `before`, the named parts, `after`."""
    lines = [assign(name, value) for name, value in values.items()]
    lines.append(_text("prelude.sh"))
    lines.append(before)
    lines.extend(_text(f"{part}.sh") for part in parts)
    lines.append(after)
    return "\n".join(line for line in lines if line) + "\n"
