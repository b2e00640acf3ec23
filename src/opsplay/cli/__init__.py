"""What a person types: parse, call `app`, show, end with a status. One set of verbs, two names.

`opsplay VERB` runs `main`; `invoke VERB` finds `namespace` through `tasks.py`. Nothing heavy is
imported before a verb needs it, so that `opsplay --version` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import opsplay

if TYPE_CHECKING:
    from opsplay.cli.program import adopt
    from opsplay.cli.verbs import namespace

__all__ = ["adopt", "main", "namespace"]


def main(words: Sequence[str] | None = None) -> None:
    """Run the `opsplay` command with `words` (default: the process's own) and exit."""
    given = list(sys.argv[1:] if words is None else words)
    if given in (["--version"], ["-V"]):
        print(f"opsplay {opsplay.__version__}")
        return
    from opsplay.cli import lean

    lean.spare_collections()
    lean.import_invoke()
    from opsplay.cli.program import program

    try:
        program().run(["opsplay", *given])
    except SystemExit as ended:
        if words is None:
            lean.leave(ended.code)
        raise
    if words is None:
        lean.leave(0)


def __getattr__(name: str) -> Any:
    if name == "namespace":
        from opsplay.cli.verbs import namespace

        return namespace
    if name == "adopt":
        from opsplay.cli.program import adopt

        return adopt
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
