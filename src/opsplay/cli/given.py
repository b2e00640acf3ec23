"""From flags to `app.Options`; the flags that several verbs share, with their help texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsplay.core.errors import InvalidInput

if TYPE_CHECKING:
    from opsplay.app import Options

WHERE = {
    "inventory": "DIR with the inventory's files (inventory).",
    "state": "DIR of the journal and the locks (.opsplay).",
    "json": "Answer a program: JSON, one message a line, each with a message_type.",
}
NARROWING = {
    "limit": "PATTERN of sites to stay within: names, tag:NAME, * wildcards, !not; by commas.",
    "tags": "TAGS: only steps and stages that carry one of these; may be repeated.",
    "extra_vars": "NAME=VALUE that wins over every other variable; may be repeated.",
}


def options_of(
    *,
    inventory: str = "inventory",
    state: str = ".opsplay",
    limit: str = "",
    tags: Iterable[str] = (),
    extra_vars: Iterable[str] = (),
    **listening: Any,
) -> Options:
    """Return the options that flags stand for. Raises InvalidInput for one that makes no sense."""
    from opsplay.app import Options
    from opsplay.language import read_extra_vars

    return Options(
        inventory=Path(inventory),
        state=Path(state),
        limit=limit,
        tags=tuple(tag.strip() for text in tags for tag in text.split(",") if tag.strip()),
        extra_vars=read_extra_vars(extra_vars),
        **listening,
    )


def playbook_path(text: str) -> Path:
    """Return the path of a playbook. Raises InvalidInput when there is no such file."""
    path = Path(text)
    if path.is_file():
        return path
    nearby = sorted(str(one) for one in Path("playbooks").glob("*.yaml"))
    known = f" (there is: {', '.join(nearby)})" if nearby else ""
    raise InvalidInput(f"no playbook {text}{known}", next_command="invoke init DIR")
