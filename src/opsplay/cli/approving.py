"""The verb of those who are asked: approve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke import Context

from opsplay.cli.given import WHERE, options_of
from opsplay.cli.screen import ask, can_ask, document, program_name, show
from opsplay.cli.verb import READING, verb
from opsplay.core.errors import ExitStatus, Interrupted

if TYPE_CHECKING:
    from opsplay.app.approving import Answers

_ANSWERING = (*READING, ExitStatus.INTERRUPTED)


@verb(
    _ANSWERING,
    positional=["run"],
    help={
        "site": "SITE to answer for (all that are asked for).",
        "refuse": "Refuse it: nothing is published, and the run ends.",
        "by": "NAME of who agreed, when it is not whom the playbook asks.",
        "note": "TEXT to keep with the answer.",
        "yes": "Do not ask again (nobody is asked where no terminal is).",
        "state": WHERE["state"],
        "json": WHERE["json"],
    },
)
def approve(  # noqa: PLR0913, PLR0917 - one argument a flag
    _context: Context,
    run: str,
    site: str = "",
    refuse: bool = False,
    by: str = "",
    note: str = "",
    yes: bool = False,
    json: bool = False,
    state: str = ".opsplay",
) -> ExitStatus:
    """Agree to what a waiting run would publish, or refuse it.

    RUN is its name, the start of it, or `last`. What would be published is shown first: exact versions and packages, as rehearsed. The answer is
    written to the journal with your login; the run goes on with `resume RUN`, and publishes only
    what was agreed to.
    """
    from opsplay.app.approving import answer, open_approvals, question
    from opsplay.reports.approvals import answered_text, asked_text

    options = options_of(state=state)
    name, asked = open_approvals(run, options, site)
    questions = [question(one) for one in asked]
    if not json:
        show(asked_text(name, questions))
        if can_ask() and not yes and not ask("Refuse it?" if refuse else "Agree to it?"):
            raise Interrupted("nothing was answered", next_command=f"invoke approve {name}")
    given = answer(name, options, site=site, refuse=refuse, by=by, note=note)
    told = _told(given)
    if json:
        document("approval", {**told, "asked": questions})
    else:
        show(answered_text(told, program_name()))
    return ExitStatus.DONE


def _told(given: Answers) -> dict[str, Any]:
    return {
        "run": given.run,
        "approved": given.approved,
        "by": given.by,
        "who": given.who,
        "sites": [one.site for one in given.given],
        "before": [one.site for one in given.before],
        "next": f"{program_name()} resume {given.run}",
    }
