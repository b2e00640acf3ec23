"""A controller that was taken for dead wakes up: it changes nothing on the host, and writes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.workplace import Workplace
from tests.transports.sshd import running

from opsplay import app
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import ExitStatus, Fenced
from opsplay.core.site import Site
from opsplay.engine.cancel import watched
from opsplay.engine.fence import Fence
from opsplay.engine.job import Job, JobState
from opsplay.engine.lock import fence_of, take_script
from opsplay.engine.tools import Stop, Tools
from opsplay.journal import Journal
from opsplay.kit.clock import SystemClock
from opsplay.transports.local import LocalTransport

pytestmark = [pytest.mark.real, pytest.mark.timeout(170)]

BOOK = """
- name: Publish
  maintenance: true
  on_failure: rollback
  steps:
    - command: {run: 'echo once >> ../bakery-production.diary'}
    - command: {run: 'echo begun >> ../bakery-production.diary; until [ -e ../go ]; do sleep 0.1; done'}
    - file: {path: robots.txt, content: "new"}
    - command: {run: 'echo last >> ../bakery-production.diary'}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("host")) as one:
        yield one


def wait_for(happened) -> None:
    ends = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def everything(place: Workplace, home: Path) -> dict[str, bytes]:
    """Return every file of the host and of the journal."""
    places = [home, place.root(), place.root(environment="staging"), place.options.state]
    files = [path for one in places for path in one.rglob("*") if path.is_file()]
    # A lock file of the machine is emptied and filled by whoever asks for it; the database is read below, as events.
    mine = [path for path in files if path.suffix not in {".lock", ".db", ".db-shm", ".db-wal"}]
    return {str(path): path.read_bytes() for path in mine} | {
        "diary": "\n".join(place.diary()).encode(),
        "events": repr([event.hash for event in place.events]).encode(),
    }


def controller(place: Workplace) -> int:
    """Begin the run in a process of its own; return its id."""
    book = place.playbook(BOOK)
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        status = int(app.run(book, place.options).exit_status)
    except Fenced as error:
        status = int(error.exit_status)
    finally:
        os._exit(status)


def test_a_stopped_controller_that_wakes_up_after_another_ended_its_run_does_nothing(
    server, tmp_path
):
    host = server.host()
    place = Workplace(tmp_path, host=host.address, ssh=host.ssh_config).build()
    zombie = controller(place)
    wait_for(lambda: "begun" in place.diary())
    os.kill(zombie, signal.SIGSTOP)
    # On another machine, that is: the lock of this machine does not hold it up.
    elsewhere = replace(place.options, state=tmp_path / "elsewhere")
    elsewhere.state.mkdir()
    (elsewhere.state / "journal.db").symlink_to(place.options.state / "journal.db")
    (tmp_path / "go").touch()

    ended = app.resume("last", elsewhere)
    before = everything(place, server.folder / "home")
    os.kill(zombie, signal.SIGCONT)
    _, status = os.waitpid(zombie, 0)

    assert ended.exit_status == ExitStatus.DONE
    assert os.WEXITSTATUS(status) == ExitStatus.LOCKED
    assert everything(place, server.folder / "home") == before
    assert [word for word in place.diary() if word in {"once", "begun", "last"}] == [
        "once",
        "begun",
        "last",
    ]


def test_a_process_that_was_taken_over_stops_at_once_also_in_the_middle_of_a_stream(tmp_path):
    mine, other = (Journal(tmp_path / "journal.db", SystemClock()) for _ in range(2))
    epoch, stop = mine.append("run-1", "run_started").sequence, Stop()

    with watched(mine, "run-1", stop, epoch):
        assert not stop.requested
        other.append("run-1", "run_resumed")
        wait_for(lambda: stop.at_once)

    mine.close()
    other.close()


# By the scripts themselves


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def job():
    nothing = lambda *_: None  # noqa: E731
    tools = Tools(
        record=None, clock=SystemClock(), transport=None, vault=None, language=None, events=nothing,
        last_change=nothing, progress=nothing, learn=nothing,
    )  # fmt: skip

    def made(fence: Fence | None, name: str = "run-1-1") -> Job:
        return Job(name, "run-1/x", LocalTransport(Host("local")), tools, fence=fence)

    return made


SITE = Site("bakery", "paper-test-cms", {"production": Environment("production", Host("local"), "/x", "http://x.example")})  # fmt: skip


def take(run: str, epoch: int) -> Fence:
    script = take_script(SITE, run, SystemClock().now(), epoch)
    assert LocalTransport(Host("local")).run(script).stdout.startswith(run)
    return fence_of(SITE, run, epoch)


def test_a_job_of_an_older_epoch_is_refused_by_the_host_and_leaves_nothing(home, job):
    old = take("run-1", 3)
    take("run-1", 8)

    with pytest.raises(Fenced, match=r"another process of this run .* goes on with it"):
        job(old).run('touch "$HOME/done"')

    assert not (home / "done").exists()
    assert list((home / ".opsplay/jobs").iterdir()) == []


def test_a_job_of_a_run_whose_lock_another_run_has_is_refused(home, job):
    fence = take("run-2", 1)

    with pytest.raises(Fenced, match=r"run run-2 of .* holds it since"):
        job(replace(fence, run="run-1")).run('touch "$HOME/done"')
    with pytest.raises(Fenced, match="nobody holds it"):
        job(replace(fence, lock="none")).run('touch "$HOME/done"')

    assert not (home / "done").exists()


def test_a_job_that_was_claimed_before_the_lock_was_lost_does_not_begin_after_it(home, job):
    fence = take("run-1", 3)
    slow = job(fence)
    from opsplay.engine import job as jobs

    script = jobs.start_script(slow.name, slow.directory, 4, fence)
    overtaken = script.replace('if [ -n "$2" ]; then', 'sleep 1; if [ -n "$2" ]; then')
    assert overtaken != script
    starter = subprocess.Popen(["sh", "-c", overtaken], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    starter.stdin.write(jobs.payload('touch "$HOME/done"', {}))
    starter.stdin.close()
    wait_for((home / ".opsplay/jobs/run-1-1/claimed").exists)
    newer = take("run-1", 8)

    starter.wait(30)
    starter.stdout.close()

    assert job(newer).wait(bar=True).state == JobState.ABSENT
    assert not (home / "done").exists()


def test_an_old_controller_does_not_end_the_job_that_the_new_one_waits_for(home, job):
    old = take("run-1", 3)
    script = 'echo > "$HOME/begun"; until [ -e "$HOME/go" ]; do sleep 0.05; done'
    code = (
        "import sys, subprocess; from opsplay.engine.job import *;"
        f"subprocess.run(['sh', '-c', start_script('run-1-1', 'run-1/x')], input=payload({script!r}, {{}}))"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    wait_for((home / "begun").exists)
    newer = take("run-1", 8)

    with pytest.raises(TimeoutError):
        job(old).wait(timeout=0.1)
    (home / "go").touch()

    assert job(newer).wait().state == JobState.ENDED
    starter.wait(30)
