"""Verbs that carry out: run, check, resume, rollback, restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from opsplay.cli.given import NARROWING, WHERE, playbook_path
from opsplay.cli.showing import checked, played
from opsplay.cli.verb import CHANGING, REACHING, verb
from opsplay.core.errors import ExitStatus

if TYPE_CHECKING:
    from opsplay.app import Options, RunResult

_ASKING = {"yes": "Do not ask before the first change (nobody is asked where no terminal is)."}
_DIFF = {"diff": "Show files and lists line by line."}


@verb(
    (*CHANGING, ExitStatus.PENDING),
    positional=["playbook"],
    iterable=["tags", "extra_vars"],
    help={
        "check": "Show what would change, and change nothing.",
        **_DIFF,
        **_ASKING,
        **NARROWING,
        **WHERE,
    },
)
def run(  # noqa: PLR0913, PLR0917 - one argument a flag
    context: Context,
    playbook: str,
    check: bool = False,
    diff: bool = False,
    limit: str = "",
    tags: tuple[str, ...] = (),
    extra_vars: tuple[str, ...] = (),
    yes: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Run a playbook on its sites.

    On a terminal the plan is shown first, and nothing is done before you agree. Every change is
    written to the journal before it is made. A run that was cut short goes on with `resume`, and
    `rollback` takes a run back. Ctrl-C stops after the current act, a second one at once.

    Where nobody can be asked (schedules, pipes, --json) the run goes on without a question.
    """
    from opsplay import app

    where = {
        "limit": limit,
        "tags": tags,
        "extra_vars": extra_vars,
        "inventory": inventory,
        "state": state,
    }
    path = playbook_path(playbook)
    if check or context.config.run.dry:
        return checked(lambda options: app.check(path, options), where, diff=diff, json=json)
    return played(lambda options: app.run(path, options), where, yes=yes, diff=diff, json=json)


@verb(
    (*REACHING, ExitStatus.PENDING),
    name="check",
    positional=["playbook"],
    iterable=["tags", "extra_vars"],
    help={**_DIFF, **NARROWING, **WHERE},
)
def check_verb(  # noqa: PLR0913, PLR0917 - one argument a flag
    _context: Context,
    playbook: str,
    diff: bool = False,
    limit: str = "",
    tags: tuple[str, ...] = (),
    extra_vars: tuple[str, ...] = (),
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Show what a run would change; change nothing.

    Before and after are shown. The sites are asked (one round trip a host), and nothing is written anywhere: not on the hosts,
    not in their databases, not in the vault. Status 4 means that something would change.
    """
    from opsplay import app

    where = {
        "limit": limit,
        "tags": tags,
        "extra_vars": extra_vars,
        "inventory": inventory,
        "state": state,
    }
    path = playbook_path(playbook)
    return checked(lambda options: app.check(path, options), where, diff=diff, json=json)


@verb(CHANGING, positional=["run"], help={**_DIFF, **_ASKING, **WHERE})
def resume(
    _context: Context,
    run: str,
    diff: bool = False,
    yes: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Go on with a run that was cut short or waits.

    RUN is its name, the start of it, or `last`. What the hosts did meanwhile is looked up first. Then the run goes on, or takes itself back
    where the playbook says `on_failure: rollback`.
    """
    from opsplay import app

    where = {"inventory": inventory, "state": state}
    return played(lambda options: app.resume(run, options), where, yes=yes, diff=diff, json=json)


@verb(CHANGING, positional=["run"], help={**_DIFF, **_ASKING, "limit": NARROWING["limit"], **WHERE})
def rollback(
    _context: Context,
    run: str,
    diff: bool = False,
    yes: bool = False,
    limit: str = "",
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Take back what a run changed, newest first.

    RUN is its name, the start of it, or `last`. A backup is taken before. The CMS need not boot for it.
    """
    from opsplay import app

    where = {"inventory": inventory, "state": state, "limit": limit}
    return played(lambda options: app.rollback(run, options), where, yes=yes, diff=diff, json=json)


@verb(
    CHANGING,
    positional=["site"],
    iterable=["include"],
    help={
        "snapshot": "SNAPSHOT to bring back, as `backups` lists it, or `last` (last).",
        "to": "ENVIRONMENT to bring it back to (production).",
        "include": "PART to bring back: database or files; may be repeated (both).",
        **_DIFF, **_ASKING, **WHERE,
    },
)  # fmt: skip
def restore(  # noqa: PLR0913, PLR0917 - one argument a flag
    _context: Context,
    site: str,
    snapshot: str = "last",
    to: str = "production",
    include: tuple[str, ...] = (),
    diff: bool = False,
    yes: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Bring a site back from its vault.

    It goes to production, or to another environment. Everything comes from the backup alone: the site's files and database may be gone. Orders and
    messages that came in after the backup are not in it.
    """
    from opsplay import app

    parts = tuple(part.strip() for text in include for part in text.split(",")) or (
        "database",
        "files",
    )

    def bring_back(options: Options) -> RunResult:
        return app.restore(site, options, snapshot=snapshot, to=to, include=parts)

    where = {"inventory": inventory, "state": state}
    return played(bring_back, where, yes=yes, diff=diff, json=json)
