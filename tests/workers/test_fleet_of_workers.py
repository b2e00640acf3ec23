"""The proof: many runs, two workers of which one is killed and one put to sleep, the queue dropped.

`$OPSPLAY_PROOF_RUNS` (200) runs over a quarter as many sites.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

import psycopg
import pytest
from tests.workers.fleet import wait_until

from opsplay.app.workers import workers
from opsplay.couriers.postgres import SCHEMA

pytestmark = [pytest.mark.real, pytest.mark.proof, pytest.mark.timeout(900)]

RUNS = int(os.environ.get("OPSPLAY_PROOF_RUNS", "200"))
FLAGS = ("--patience", "6", "--at-once", "4")


def test_whatever_happens_to_workers_all_runs_end_and_no_act_is_done_twice(fleet_of, url):
    fleet = fleet_of(max(2, RUNS // 4))
    sites = fleet.place.sites
    journal = fleet.journal()

    def ended():
        return {one.run for one in journal.runs() if one.state != "unfinished"}

    def held_by(name):
        seen = [one for one in workers(fleet.options) if one.name == name]
        return {held.run for one in seen for held in one.runs}

    # All before the workers come: on a fast machine they would keep up, and never be found at work.
    runs = [fleet.submit(sites[number % len(sites)]) for number in range(RUNS)]
    with fleet.worker("killed", *FLAGS) as killed, fleet.worker("zombie", *FLAGS) as zombie:
        wait_until(lambda: len(ended()) >= RUNS // 8, 300)
        wait_until(lambda: len(held_by("killed")) >= 2, 60, 0.02)
        killed.send(signal.SIGKILL)
        killed.process.wait()
        orphans = held_by("killed") - ended()

        with fleet.worker("heir", *FLAGS):
            wait_until(lambda: len(ended()) >= RUNS // 4, 300)
            wait_until(lambda: len(held_by("zombie")) >= 2, 60, 0.02)
            zombie.send(signal.SIGSTOP)
            asleep = held_by("zombie") - ended()
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
            wait_until(lambda: asleep <= ended(), 300)
            as_ended = {run: len(journal.events(run)) for run in asleep}
            zombie.send(signal.SIGCONT)
            wait_until(lambda: ended() >= set(runs), 600, 0.5)
            wait_until(lambda: "was taken over" in zombie.told, 60)

    states = Counter(one.state for one in journal.runs())
    resumed = Counter(event.run for event in journal.events(kinds=("run_resumed",)))
    print(
        f"{RUNS} runs over {len(sites)} sites: {dict(states)}; killed with {len(orphans)} runs under"
        f" way, asleep with {len(asleep)}; {sum(n > 1 for n in resumed.values())} taken over;"
        f" {len(journal.events())} events"
    )
    assert orphans
    assert asleep
    # "ok": taken over when all of its acts were done already.
    assert set(states) <= {"changed", "ok"}
    assert sum(states.values()) == RUNS
    assert as_ended == {run: len(journal.events(run)) for run in asleep}
    assert journal.verify() is None
    journal.close()
    assert [line for site in sites for line in fleet.overlaps(site)] == []
    assert [mark for site in sites for mark in fleet.twice(site)] == []
    assert sum(len(fleet.marks(site)) for site in sites) == RUNS * 4
