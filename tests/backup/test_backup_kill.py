"""kill -9 in the middle of a backup: half of one is never listed, and the next one is good."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.backup.backup_trial import Trial
from tests.backup.conftest import WAYS, Bench
from tests.backup.deaths import CONTROLLER, Death, enumerate_deaths, first
from tests.transports.sshd import running

from opsplay.transports.ssh import SshTransport

pytestmark = pytest.mark.real
ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "12"))
WHILE_THE_DATABASE_IS_SENT = ("sh", "mariadb-dump", "zstd", "age")


def comes_back(trial: Trial) -> None:
    """Have the last backup restored: it is what was saved."""
    bench = trial.bench
    before = bench.fingerprint()
    bench.destroy()
    bench.restore(trial.good)
    assert bench.fingerprint() == before


@pytest.mark.proof
def test_whoever_dies_in_a_backup_the_next_one_is_good(bench: Bench):
    trial = Trial(bench)
    moments = trial.moments()
    sending, packing = first(moments, "hear SEG database 0"), first(moments, "hear SEG files-01 0")
    arriving = first(moments[packing:], "PUT arrives") + packing
    controllers = [Death(CONTROLLER, at) for at in (sending, len(moments) - 1)]
    processes = [Death(who, sending) for who in WHILE_THE_DATABASE_IS_SENT]
    processes += [Death("tar", packing), Death("find", 2, "start"), Death("dd", 5, "end")]

    assert {trial.die(death) for death in controllers} == {"killed"}
    assert {trial.die(death) for death in processes} == {"refused"}
    assert trial.die(Death("curl", arriving)) == "whole", "it is sent once more"
    comes_back(trial)


@pytest.fixture
def by_ssh(bench: Bench, tmp_path: Path) -> Iterator[Trial]:
    """A site whose host is reached by a real sshd."""
    (tmp_path / "sshd").mkdir()
    with running(tmp_path / "sshd") as server:
        bench.home, host = server.folder / "home", server.host()
        yield Trial(bench, lambda: SshTransport(host))


@pytest.mark.proof
def test_over_ssh_the_host_ends_by_itself_when_its_controller_died(by_ssh: Trial):
    moments = by_ssh.moments()
    names = ("say PUT", "PUT arrives", "hear SEG files-01 1", "stored")

    ends = [by_ssh.die(Death(CONTROLLER, first(moments, name))) for name in names]

    assert ends == ["killed"] * len(names)
    comes_back(by_ssh)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("going", WAYS, indirect=True)
def test_a_backup_may_die_at_each_moment(going: Bench, capsys: pytest.CaptureFixture[str]):
    """So many of all deaths, by chance; OPSPLAY_SOAK_ROUNDS=100000: every one, in turn."""
    trial = Trial(going)

    def told(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")

    enumerate_deaths(trial, ROUNDS, told)
    comes_back(trial)
