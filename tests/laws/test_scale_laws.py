"""What a site costs does not depend on how many others there are: counted in calls, not in seconds."""

from __future__ import annotations

import sys
import threading
from itertools import count, pairwise

import pytest
from tests.bench import scale

from opsplay import cms, steps
from opsplay.journal import Journal


def calls(work, size, folder):
    """Return how many calls of functions the whole command makes, in all of its threads."""
    seen = count()

    def called(_frame, event, _argument):
        if event in {"call", "c_call"}:
            next(seen)

    where = folder / f"{work}-{size}"
    where.mkdir()
    scale.ops_repository(where, size)
    with scale.hosts_of_answers(pending=work == "check"):
        before = sys.getprofile()
        threading.setprofile(called)
        sys.setprofile(called)
        try:
            scale.carry_out(work, where)
        finally:
            sys.setprofile(before)
            threading.setprofile(before)
    return next(seen)


@pytest.mark.parametrize("work", scale.WORKS)
def test_twice_as_many_sites_cost_twice_as_much(work, tmp_path):
    cms.load()
    steps.load()
    calls(work, 10, tmp_path)  # what is loaded and computed once
    sizes = (20, 40, 80)

    found = [calls(work, size, tmp_path) for size in sizes]

    grown = [later - earlier for earlier, later in pairwise(found)]
    assert grown[1] < 2.3 * grown[0], dict(zip(sizes, found, strict=True))


@pytest.mark.parametrize("size", [15, 45])
def test_a_converged_site_costs_one_write_and_reads_nothing_of_the_others(
    size, tmp_path, monkeypatch
):
    written, read = [], []
    append, events = Journal.append_all, Journal.events

    def counted(self, run, entries, *words, **named):
        written.append(len(entries))
        return append(self, run, entries, *words, **named)

    def asked(self, *words, **named):
        read.append(found := events(self, *words, **named))
        return found

    scale.ops_repository(tmp_path, size)
    monkeypatch.setattr(Journal, "append_all", counted)
    monkeypatch.setattr(Journal, "events", asked)

    with scale.hosts_of_answers(pending=False):
        assert scale.carry_out("run", tmp_path) == 0

    of_the_run = [entries for entries in written if entries == 1]
    assert len(written) - len(of_the_run) == size + 1, "one a site, and one for all plans"
    assert len(of_the_run) <= 5, "what begins and ends the run, and its batches"
    assert sum(map(len, read)) <= 2 * sum(written), "each event is read back once, for the summary"
