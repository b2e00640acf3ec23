"""kill -9 in the middle of a restore: the site is as before, whole or closed, and the next mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.backup.conftest import WAYS, Bench
from tests.backup.deaths import CONTROLLER, Death, enumerate_deaths, first
from tests.backup.restore_trial import Trial

from opsplay.core.errors import OpsplayError

pytestmark = pytest.mark.real
ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "12"))
AT = 'echo "AT '


@pytest.mark.proof
def test_whoever_dies_in_a_restore_the_next_one_mends_it(bench: Bench):
    trial = Trial(bench)
    moments = trial.moments()
    fetching, arriving = first(moments, "hear WANT 1"), first(moments, "GET arrives")
    controllers = [Death(CONTROLLER, at) for at in (arriving, len(moments))]
    processes = [Death("sh", fetching), Death("age", fetching), Death("mariadb", 1, "start")]
    # An empty dump was loaded, and the site opened.
    processes += [Death("zstd", 4, "start")]

    assert {trial.die(death) for death in controllers} == {"killed"}
    assert {trial.die(death) for death in processes} == {"refused"}
    assert trial.die(Death("curl", arriving)) == "whole", "it is fetched once more"


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("going", WAYS, indirect=True)
def test_a_restore_may_die_at_each_moment(going: Bench, capsys: pytest.CaptureFixture[str]):
    """So many of all deaths, by chance; OPSPLAY_SOAK_ROUNDS=100000: every one, in turn."""

    def told(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")

    enumerate_deaths(Trial(going), ROUNDS, told)


def parts_of(trial: Trial) -> Iterator[str]:
    """Yield the switch's script as it is when the host dies before each line it says."""
    seen: list[str] = []

    def keep(script: str):
        seen.append(script)
        return trial.bench.transport.run(script, timeout=None)

    trial.bench.restore(trial.snapshot, switch=keep)
    pieces = seen[0].split(AT)
    for number in range(1, len(pieces)):
        yield AT.join(pieces[:number]) + "kill -9 $$\n" + AT + AT.join(pieces[number:])


@pytest.mark.timeout(300)
def test_a_host_that_is_killed_in_the_switch_keeps_its_door_closed_and_is_mended(bench: Bench):
    trial = Trial(bench)
    scripts = list(parts_of(trial))

    assert len(scripts) == 7  # close keep files close database open end
    for script in scripts if "OPSPLAY_SOAK_ROUNDS" in os.environ else (scripts[2], scripts[4]):
        trial.spoil()
        with pytest.raises(OpsplayError, match="restore failed at"):
            bench.restore(
                trial.snapshot,
                switch=lambda _, script=script: bench.transport.run(script, timeout=None),
            )
        trial.mend("refused")
