"""From flags to `app.Options`; the flags that several verbs share, with their help texts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsplay.core.errors import InvalidInput

if TYPE_CHECKING:
    from opsplay.app import Options
    from opsplay.app.answers import Answer

WHERE = {
    "inventory": "DIR with the inventory's files (inventory).",
    "state": "DIR of the journal and the locks (.opsplay).",
    "json": "Answer a program: JSON, one message a line, each with a message_type.",
}
JOURNAL = (
    "URL of a journal in PostgreSQL, for several machines ($OPSPLAY_JOURNAL, or a file in --state)."
)
_chosen = [""]

NARROWING = {
    "limit": "PATTERN of sites to stay within: names, tag:NAME, * wildcards, !not; by commas.",
    "tags": "TAGS: only steps and stages that carry one of these; may be repeated.",
    "extra_vars": "NAME=VALUE that wins over every other variable; may be repeated.",
}

FORKS = {"forks": "NUMBER of sites at work at the same time (the playbook's, or 16)."}


def choose_journal(where: str) -> None:
    """Note the `--journal` of the verb that runs."""
    _chosen[0] = where


def journal_chosen() -> str:
    """Return where the journal is to be: the flag, or `$OPSPLAY_JOURNAL`; empty for the file."""
    return _chosen[0] or os.environ.get("OPSPLAY_JOURNAL", "")


def options_of(
    *,
    inventory: str = "inventory",
    state: str = ".opsplay",
    limit: str = "",
    tags: Iterable[str] = (),
    extra_vars: Iterable[str] = (),
    forks: int = 0,
    **listening: Any,
) -> Options:
    """Return the options that flags stand for. Raises InvalidInput for one that makes no sense."""
    from opsplay.app import Options
    from opsplay.language import read_extra_vars

    return Options(
        inventory=Path(inventory),
        state=Path(state),
        journal=journal_chosen(),
        limit=limit,
        tags=tuple(tag.strip() for text in tags for tag in text.split(",") if tag.strip()),
        extra_vars=read_extra_vars(extra_vars),
        forks=_at_least_one(forks),
        **listening,
    )


def answers_of(done: Iterable[str], redo: Iterable[str]) -> dict[str, Answer]:
    """Return site → answer. Raises InvalidInput for a site of which both are said."""
    answers: dict[str, Answer] = dict.fromkeys(done, "done")
    for site in redo:
        if site in answers:
            raise InvalidInput(f"--done {site} and --redo {site}: it is one or the other")
        answers[site] = "redo"
    return answers


def _at_least_one(forks: int) -> int:
    if forks < 0:
        raise InvalidInput(f"--forks {forks}: it takes at least one site at work")
    return forks


def playbook_path(text: str) -> Path:
    """Return the path of a playbook. Raises InvalidInput when there is no such file."""
    path = Path(text)
    if path.is_file():
        return path
    nearby = sorted(str(one) for one in Path("playbooks").glob("*.yaml"))
    known = f" (there is: {', '.join(nearby)})" if nearby else ""
    raise InvalidInput(f"no playbook {text}{known}", next_command="invoke init DIR")
