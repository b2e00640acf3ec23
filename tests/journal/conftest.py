"""A place for a journal, in a file and in PostgreSQL: both must keep the same promises."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from opsplay.journal import open_journal
from opsplay.kit.clock import FrozenClock

START = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request, tmp_path):
    """Where a journal may be: an argument for `open_journal`."""
    if request.param == "file":
        return tmp_path / "state" / "journal.db"
    return request.getfixturevalue("database_server").emptied()


@pytest.fixture
def opened(place):
    """Open the journal at `place`, once more with each call."""
    journals = []

    def open_it(redactor=None):
        journals.append(open_journal(place, FrozenClock(START), redactor))
        return journals[-1]

    yield open_it
    for journal in journals:
        journal.close()
