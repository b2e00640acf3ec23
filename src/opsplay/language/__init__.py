"""Text to model: YAML 1.2 with positions, schema, templates, secret references.

Everything the other layers need is named here and imported when first used, so that
`opsplay --version` pays for none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsplay.language.build import build_step, is_true
    from opsplay.language.files import drifted, write_generated
    from opsplay.language.read import (
        inventory_from_texts,
        playbook_from_text,
        read_all,
        read_inventory,
        read_playbook,
    )
    from opsplay.language.scopes import scope
    from opsplay.language.secrets import secret
    from opsplay.language.sites import select_sites
    from opsplay.language.starter import write_starter
    from opsplay.language.together import check_together
    from opsplay.language.variables import read_extra_vars

_HOME = {
    "build_step": "build",
    "check_together": "together",
    "drifted": "files",
    "inventory_from_texts": "read",
    "is_true": "build",
    "playbook_from_text": "read",
    "read_all": "read",
    "read_extra_vars": "variables",
    "read_inventory": "read",
    "read_playbook": "read",
    "scope": "scopes",
    "secret": "secrets",
    "select_sites": "sites",
    "write_generated": "files",
    "write_starter": "starter",
}

__all__ = [
    "build_step",
    "check_together",
    "drifted",
    "inventory_from_texts",
    "is_true",
    "playbook_from_text",
    "read_all",
    "read_extra_vars",
    "read_inventory",
    "read_playbook",
    "scope",
    "secret",
    "select_sites",
    "write_generated",
    "write_starter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
