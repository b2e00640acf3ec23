"""Verbs about persons who ask to be forgotten: erase, erasures."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING

from invoke import Context

from opsplay.cli.given import WHERE, options_of
from opsplay.cli.screen import document, show
from opsplay.cli.showing import played
from opsplay.cli.verb import CHANGING, REACHING, verb
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.kit.clock import SystemClock

if TYPE_CHECKING:
    from opsplay.app.erasing import Recorded
    from opsplay.engine.erasures import Wish


@verb(
    CHANGING,
    positional=["site"],
    iterable=["columns"],
    help={
        "table": "TABLE that the person is in.",
        "where": "COLUMN=VALUE of the person's rows; COLUMN alone: the value comes from standard input.",
        "columns": "COLUMNS to empty, or COLUMN=TEXT to overwrite; may be repeated.",
        "delete": "Delete the rows.",
        "asked_by": "REFERENCE of the request in your own register; never a name.",
        "asked_on": "DATE when the person asked, such as 2026-11-22 (today).",
        "at_most": "NUMBER of rows that this may mean (100); more are never touched.",
        "check": "Say what it would do, and write nothing.",
        "live": "Carry it out on the live site as well, as a run.",
        "unseen": "Do not ask the live site first: it cannot be reached.",
        **WHERE,
    },
)
def erase(  # noqa: PLR0913, PLR0917 - one argument a flag
    context: Context,
    site: str,
    table: str = "",
    where: str = "",
    columns: tuple[str, ...] = (),
    delete: bool = False,
    asked_by: str = "",
    asked_on: str = "",
    at_most: int = 100,
    check: bool = False,
    live: bool = False,
    unseen: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Note that a person is to be erased, for every restore from now on.

    Backups are locked and stay as they are. The request goes into an encrypted ledger beside them; each
    restore, drill included, carries it out before the site opens. See docs/erasure.md for what that
    does not do.
    """
    from opsplay.app.erasing import erase as record
    from opsplay.app.erasing import erase_live

    wish = _wish(table, where, columns, delete, asked_by, asked_on, at_most)
    looking = check or context.config.run.dry
    options = options_of(inventory=inventory, state=state)
    found = record(site, wish, options, check=looking, unseen=unseen)
    if not (live and found.kept and json):
        _tell(found, json=json)
    if not (live and found.kept):
        return ExitStatus.DONE
    places = {"inventory": inventory, "state": state}
    request = found.request.id
    return played(
        lambda given: erase_live(site, request, given), places, yes=True, diff=False, json=json
    )


def _wish(
    table: str, where: str, columns: tuple[str, ...], delete: bool,
    asked_by: str, asked_on: str, at_most: int,
) -> Wish:  # fmt: skip
    from opsplay.engine.erasures import Wish

    if not table or not where:
        raise InvalidInput("name the --table, and by --where the person's rows in it")
    column, mark, value = where.partition("=")
    if not mark:
        value = sys.stdin.readline().rstrip("\r\n")
    overwritten = dict(_overwritten(text) for text in _split(columns))
    return Wish(
        table, column, value, delete, overwritten, asked_by, _day(asked_on), at_most
    )  # fmt: skip


def _split(columns: tuple[str, ...]) -> list[str]:
    """Return each COLUMN or COLUMN=TEXT; commas part columns, unless one of them has a text."""
    return [
        part.strip()
        for given in columns
        for part in ([given] if "=" in given else given.split(","))
        if part.strip()
    ]


def _overwritten(text: str) -> tuple[str, str | None]:
    column, mark, value = text.partition("=")
    return column, value if mark else None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text) if text else SystemClock().now().date()
    except ValueError:
        raise InvalidInput(f"--asked-on {text!r} is not a date such as 2026-11-22") from None


def _tell(found: Recorded, *, json: bool) -> None:
    from opsplay.reports.erasures import recorded_data, recorded_text

    given = (found.request, found.rows)
    if json:
        document("erasure", recorded_data(*given, kept=found.kept))
    else:
        show(recorded_text(*given, kept=found.kept))


@verb(REACHING, word="site", help={"site": "SITE whose ledger is read (all).", **WHERE})
def erasures(
    _context: Context,
    site: str = "",
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> None:
    """List the requests in the ledgers of erasures; prove that the ledgers can be read.

    Whom a request means is not shown: the ledger holds it, encrypted. Needs the age identity.
    """
    from opsplay.app.erasing import erasures as read
    from opsplay.reports.erasures import ledgers_data, ledgers_table

    found = read(options_of(inventory=inventory, state=state), site)
    if json:
        document("erasures", {"erasures": ledgers_data(found)})
    else:
        show(ledgers_table(found))
