"""Runs that bring back what was: a rollback of a run, and a restore from the vault."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing

from opsplay.app.looking import journal
from opsplay.app.options import Options, RunResult
from opsplay.app.runs import begin
from opsplay.app.workshop import last_change, load_kinds, undoable
from opsplay.core.errors import OpsplayError
from opsplay.journal import Journal
from opsplay.language.read import playbook_from_text, read_inventory
from opsplay.language.together import check_together


def rollback(name: str, options: Options) -> RunResult:
    """Undo what a run (an id, the start of one, or `last`) did to its sites, newest first."""
    load_kinds()
    with closing(journal(options)) as record:
        undone = _last_standing(record) if name == "last" else record.resolve(name)
        touched = sorted(
            {
                event.site
                for event in record.events(undone, kinds=("intent",))
                if undoable(event) and event.data["environment"] == "production"
            }
        )
    if not touched:
        raise OpsplayError(
            f"run {undone} changed nothing that can be undone", next_command=f"invoke logs {undone}"
        )
    text = _ROLLBACK.format(run=undone, sites=", ".join(touched))
    return played_from("rollback", text, options)


def restore(
    site: str,
    options: Options,
    *,
    snapshot: str = "last",
    to: str = "production",
    include: Sequence[str] = ("database", "files"),
    paths: Sequence[str] = (),
) -> RunResult:
    """Bring a site back from its vault, to production or to another environment.

    `paths`: only these files and directories.
    """
    load_kinds()
    text = _RESTORE.format(
        site=site,
        snapshot=snapshot,
        to=to,
        include=", ".join(include),
        paths=json.dumps(list(paths)),
    )
    return played_from("restore", text, options)


def _last_standing(record: Journal) -> str:
    """Return the last run whose changes stand on any site. Raises OpsplayError."""
    places = {
        (event.site, str(event.data["environment"]))
        for event in record.events(kinds=("intent",))
        if undoable(event)
    }
    standing = [run for place in sorted(places) if (run := _standing_at(record, *place))]
    if not standing:
        raise OpsplayError("no run changed anything that still stands", next_command="invoke logs")
    return max(standing)


def _standing_at(record: Journal, site: str, environment: str) -> str:
    try:
        return last_change(record, site, environment, "")
    except OpsplayError:
        return ""  # nothing stands there


_ROLLBACK = """\
name: Roll back {run}
sites: "{sites}"
stages:
  - name: Protect
    steps:
      - backup: {{include: [database, files], label: before-rollback}}
  - name: Roll back
    maintenance: true
    steps:
      - rollback: {{run: "{run}"}}
      - smoke_test: {{}}
"""

_RESTORE = """\
name: Restore {site}
sites: "{site}"
stages:
  - name: Restore
    environment: {to}
    steps:
      - restore: {{snapshot: "{snapshot}", include: [{include}], paths: {paths}}}
"""


def played_from(command: str, text: str, options: Options) -> RunResult:
    """Carry out a playbook that was written for one command; the journal says which."""
    book = playbook_from_text(text, f"({command})")
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    sites = check_together(book, inventory, options.limit)
    return begin(command, book, inventory, sites, options)
