"""Carry erasure requests out in the database of an environment, and look again afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opsplay.core import erasure_sql as sql
from opsplay.core.erasure import Erasure
from opsplay.core.errors import StepFailed
from opsplay.core.site import Site
from opsplay.core.transport import Transport
from opsplay.kit.secret import Redactor

_PATIENCE = 1800.0


def meant(requests: Sequence[Erasure], site: Site, transport: Transport) -> Mapping[str, int]:
    """Return request → how many rows it means in the environment now; changes nothing.

    Requests whose table is not there are left out. Raises StepFailed when a column is missing.
    """
    if not requests:
        return {}
    known = sql.read_tables(_asked(sql.look(requests), requests, site, transport))
    here = sql.applicable(requests, known)
    answer = _asked(sql.count(here), requests, site, transport)
    return sql.read_counts(answer, here)


def carry_out(requests: Sequence[Erasure], site: Site, transport: Transport) -> int:
    """Erase in the environment, look again, and return how many rows were meant.

    Raises:
        StepFailed: a request means more rows than it may (nothing was changed), the database
            refused, or it still holds what it must not.
    """
    rows = meant(requests, site, transport)
    for one in requests:
        if rows.get(one.id, 0) > one.at_most:
            raise StepFailed(
                f"erasure {one.id} means {rows[one.id]} rows of {one.table}, and at most"
                f" {one.at_most} were expected: nothing was erased",
                site=site.name,
                next_command=f"record it anew with --at-most={rows[one.id]} if it is right",
            )
    present = [one for one in requests if rows.get(one.id)]
    if present:
        answer = _asked(sql.apply(present), requests, site, transport)
        _insist(sql.read_counts(answer, present), present, site)
    return sum(rows.values())


def _insist(left: Mapping[str, int], requests: Sequence[Erasure], site: Site) -> None:
    for one in requests:
        if left[one.id]:
            raise StepFailed(
                f"erasure {one.id} was carried out, yet {left[one.id]} rows of {one.table} still"
                " hold what they must not (does the text fit the column?)",
                site=site.name,
            )


def _asked(text: str, requests: Sequence[Erasure], site: Site, transport: Transport) -> str:
    answer = transport.run(site.cms.apply_sql(), stdin=text.encode(), timeout=_PATIENCE)
    if not answer.ok:
        # A database quotes what it refuses: nothing personal may reach the journal that way.
        hidden = Redactor(value for one in requests for value in _values(one))
        said = hidden.clean(" ".join(answer.stderr.strip().splitlines()[-3:]))
        raise StepFailed(f"the database refused the erasure: {said}", site=site.name)
    return answer.stdout


def _values(request: Erasure) -> tuple[str, ...]:
    return (request.key_value, *(text for text in request.columns.values() if text))
