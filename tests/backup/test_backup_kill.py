"""kill -9 in the middle of a backup: half of one is never listed, and the next one is good."""

from __future__ import annotations

import os
import random

import pytest
from tests.backup.conftest import Bench
from tests.backup.killing import CONTROLLER, HOST, Death, Trial, counted

pytestmark = pytest.mark.real
ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "12"))


@pytest.mark.proof
def test_whoever_dies_in_a_backup_the_next_one_is_good(bench: Bench):
    trial = Trial(bench)
    names = trial.moments()
    sealing = next(
        n for n, name in enumerate(names, 1) if name.startswith("stored") and name.endswith(".json")
    )
    deaths = [
        Death(CONTROLLER, sealing),
        Death("tar", 5),
    ]

    ends = {str(death): trial.die(death) for death in deaths}

    assert len(names) > 40
    # tar may have done its part before its turn to die comes.
    assert list(ends.values()) in (["killed", "refused"], ["killed", "sealed, nobody died"])
    before = bench.fingerprint()
    bench.destroy()
    bench.restore(trial.good)
    assert bench.fingerprint() == before


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_backup_may_die_at_each_moment(bench: Bench, capsys: pytest.CaptureFixture[str]):
    """So many of all deaths, by chance; OPSPLAY_SOAK_ROUNDS=100000: every one, in turn."""
    trial = Trial(bench)
    names = trial.moments()
    every = [
        Death(who, moment) for who in (CONTROLLER, *HOST) for moment in range(1, len(names) + 1)
    ]
    deaths = random.Random(9).sample(every, min(ROUNDS, len(every)))

    def told(text: str) -> None:
        with capsys.disabled():
            print(f"\n{len(deaths)} of {len(every)} deaths, {len(names)} moments: {text}")

    with counted(told) as ends:
        for death in deaths:
            ended = trial.die(death)
            key = f"{'controller' if death.who == CONTROLLER else 'host process'} {ended}"
            ends[key] = ends.get(key, 0) + 1
    before = bench.fingerprint()
    bench.destroy()
    bench.restore(trial.good)
    assert bench.fingerprint() == before
