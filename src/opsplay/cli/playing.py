"""Verbs that carry out: run, check, resume, rollback, restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from opsplay.cli.given import FORKS, NARROWING, WHERE, answers_of, playbook_path
from opsplay.cli.showing import checked, played
from opsplay.cli.verb import CHANGING, REACHING, verb
from opsplay.cli.working import submitted
from opsplay.core.errors import ExitStatus

if TYPE_CHECKING:
    from opsplay.app import Options, RunResult

_ASKING = {"yes": "Do not ask before the first change (nobody is asked where no terminal is)."}
_NOW = {"now": "Do not wait for the windows of stages: begin at this hour. Journalled."}
_DIFF = {"diff": "Show files and lists line by line."}


@verb(
    (*CHANGING, ExitStatus.PENDING),
    positional=["playbook"],
    iterable=["tags", "extra_vars"],
    help={
        "check": "Show what would change, and change nothing.",
        "submit": "Hand the run to the workers (`serve`), and do not wait for it.",
        **_NOW,
        **_DIFF,
        **_ASKING,
        **NARROWING,
        **FORKS,
        **WHERE,
    },
)
def run(  # noqa: PLR0913, PLR0917 - one argument a flag
    context: Context,
    playbook: str,
    check: bool = False,
    submit: bool = False,
    diff: bool = False,
    limit: str = "",
    tags: tuple[str, ...] = (),
    extra_vars: tuple[str, ...] = (),
    forks: int = 0,
    now: bool = False,
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
        "forks": forks,
        "any_hour": now,
        "inventory": inventory,
        "state": state,
    }
    path = playbook_path(playbook)
    if check or context.config.run.dry:
        return checked(lambda options: app.check(path, options), where, diff=diff, json=json)
    if submit:
        return submitted(path, where, json=json)
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


@verb(
    CHANGING,
    positional=["run"],
    iterable=["done", "redo"],
    help={
        "done": "SITE where the act that the run asks about was done; may be repeated.",
        "redo": "SITE where it is to be done again; may be repeated.",
        "past_failures": "Go on behind a stopped line, although nobody mended what stopped it.",
        **_NOW,
        **_DIFF,
        **_ASKING,
        **FORKS,
        **WHERE,
    },
)
def resume(  # noqa: PLR0913, PLR0917 - one argument a flag
    _context: Context,
    run: str,
    done: tuple[str, ...] = (),
    redo: tuple[str, ...] = (),
    past_failures: bool = False,
    now: bool = False,
    diff: bool = False,
    forks: int = 0,
    yes: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Go on with a run that was cut short or waits.

    RUN is its name, the start of it, or `last`. What the hosts did meanwhile is looked up first. Then the run goes on, or takes itself back
    where the playbook says `on_failure: rollback`.

    Sites that failed stay as they are. Where they stopped the line, the sites behind them are begun once
    the same playbook went well on the failed ones: mend them, run it with `--limit`, then resume.

    Where a command was cut off on the host and nobody knows whether it was done, the run asks: look at the
    site, then say `--done SITE` or `--redo SITE`.
    """
    from opsplay import app

    answers = answers_of(done, redo)

    def go_on(options: Options) -> RunResult:
        return app.resume(run, options, past_failures=past_failures, answers=answers)

    where = {"forks": forks, "any_hour": now, "inventory": inventory, "state": state}
    return played(go_on, where, yes=yes, diff=diff, json=json)


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
    iterable=["include", "path"],
    help={
        "snapshot": "SNAPSHOT to bring back, as `backups` lists it, or `last` (last).",
        "to": "ENVIRONMENT to bring it back to (production).",
        "include": "PART to bring back: database or files; may be repeated (both).",
        "path": "FILE or directory below the site's root, to bring back alone; may be repeated.",
        **_DIFF, **_ASKING, **WHERE,
    },
)  # fmt: skip
def restore(  # noqa: PLR0913, PLR0917 - one argument a flag
    _context: Context,
    site: str,
    snapshot: str = "last",
    to: str = "production",
    include: tuple[str, ...] = (),
    path: tuple[str, ...] = (),
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
        return app.restore(site, options, snapshot=snapshot, to=to, include=parts, paths=path)

    where = {"inventory": inventory, "state": state}
    return played(bring_back, where, yes=yes, diff=diff, json=json)
