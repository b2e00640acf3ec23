"""The verb `drill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from opsplay.cli.given import FORKS, NARROWING, WHERE
from opsplay.cli.showing import played
from opsplay.cli.verb import REACHING, verb
from opsplay.core.errors import ExitStatus, InvalidInput

if TYPE_CHECKING:
    from opsplay.app import Options, RunResult


@verb(
    (*REACHING, ExitStatus.DRILL_FAILED, ExitStatus.LOCKED),
    word="site",
    help={
        "site": "SITE whose backup is tried (all that keep backups).",
        "snapshot": "SNAPSHOT to try, as `backups` lists it, or `last` (last).",
        "limit": NARROWING["limit"],
        **FORKS,
        **WHERE,
    },
)
def drill(
    _context: Context,
    site: str = "",
    snapshot: str = "last",
    limit: str = "",
    forks: int = 0,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Prove backups: restore them to a scratch environment, start them, look, measure, certify.

    Everything comes from the vault; no host of the site is contacted. The scratch environment is
    the site's `drill` environment, or one on this machine that is there for the drill alone. What
    is missing, and a promise to the client that was not kept, fail the drill. The signed
    certificate (JSON, and a page in French and in English) lies in the state directory and in the
    vault, beside the snapshot.
    """
    from opsplay import app

    if snapshot != "last" and not site:
        raise InvalidInput(
            "a snapshot belongs to one site: name it", next_command="invoke drill SITE"
        )

    def hold(options: Options) -> RunResult:
        return app.drill(options, site=site, snapshot=snapshot)

    where = {"limit": limit, "forks": forks, "inventory": inventory, "state": state}
    return played(hold, where, yes=True, json=json)
