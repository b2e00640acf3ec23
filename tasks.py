"""`invoke VERB` is `opsplay VERB`: the verbs live in opsplay.cli."""

from opsplay.cli import adopt, namespace

__all__ = ["namespace"]
adopt()
