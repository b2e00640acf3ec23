"""Two controllers with one journal in PostgreSQL: what is due starts on one of them."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from opsplay.app.ticking import tick
from opsplay.journal import open_journal
from opsplay.kit.clock import FrozenClock

pytestmark = pytest.mark.real

EVENING = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
STAGES = "- {name: Note, steps: [{command: {run: echo done >> notes, changes: a line}}]}\n"
DAYS, SITES = 3, 3


def test_two_controllers_that_tick_in_the_same_moments_start_each_slot_once(fleet_of):
    fleet = fleet_of(SITES)
    ops = fleet.options.inventory.parent
    (ops / "playbooks").mkdir()
    (ops / "playbooks" / "night.yaml").write_text(
        f"name: Night\nschedule: daily\nstages:\n{STAGES}"
    )
    clock = FrozenClock(EVENING)
    both = [replace(fleet.options, clock=clock, state=ops / name) for name in ("one", "two")]
    together, told = threading.Barrier(2), []

    def controller(options):
        for _ in range(DAYS + 1):
            if together.wait() == 0:
                clock.sleep(86400)
            together.wait()
            tick(options, told.append)
            together.wait()
            tick(options, told.append)  # what one of them had to leave to the other

    threads = [threading.Thread(target=controller, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    journal = open_journal(fleet.url, clock)
    yielded = {e.run for e in journal.events(kinds=("run_finished",)) if e.data.get("yielded_to")}
    starts = Counter(
        (event.data["slot"], site)
        for event in journal.events(kinds=("run_started",))
        if event.run not in yielded
        for site in event.data["sites"]
    )
    journal.close()
    assert set(starts.values()) == {1}
    assert len(starts) == DAYS * SITES
    for site in fleet.place.sites:
        assert (fleet.place.root(site) / "notes").read_text().count("done") == DAYS
    assert {one.what for one in told} <= {"started", "busy"}
