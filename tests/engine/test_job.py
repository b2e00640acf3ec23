"""Detached jobs: started at most once, outliving the line and the controller. Real sh, real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from opsplay.core.environment import Host
from opsplay.core.errors import Interrupted
from opsplay.engine.job import Job, JobState, read_report
from opsplay.engine.tools import Stop, Tools
from opsplay.kit.clock import SystemClock
from opsplay.kit.secret import Secret
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def tools():
    nothing = lambda *_: None  # noqa: E731
    return Tools(
        record=None,
        clock=SystemClock(),
        transport=None,
        vault=None,
        language=None,
        events=nothing,
        last_change=nothing,
        progress=nothing,
        learn=nothing,
    )


def job(tools, name="job-1"):
    return Job(name, "run-1/bakery-production", LocalTransport(Host("local")), tools)


@pytest.mark.usefixtures("home")
def test_a_job_tells_status_output_and_errors(tools):
    report = job(tools).run("echo out; echo bad >&2; exit 7")

    assert (report.state, report.exit_status) == (JobState.ENDED, 7)
    assert report.output == "out\n"
    assert report.errors == "bad\n"
    assert report.told == "out\nbad"


@pytest.mark.usefixtures("home")
def test_what_is_asked_then_is_asked_when_the_job_has_ended(tools):
    asking = replace(job(tools), then=(("test -e done && echo there", ()), ("echo x >&2", ())))

    report = asking.run("sleep 0.2; touch done; echo out")

    assert (report.state, report.output, report.errors) == (JobState.ENDED, "out\n", "")
    assert [(one.stdout, one.stderr) for one in report.looked] == [("there\n", ""), ("", "x\n")]


@pytest.mark.usefixtures("home")
def test_nothing_is_asked_while_the_job_goes_on(tools):
    asking = replace(job(tools), turns=30, then=(("touch asked", ()),))

    report = asking.run("sleep 2; test ! -e asked; echo $?")

    assert (report.output, report.looked) == ("0\n", ())


def test_a_start_sent_ten_times_runs_once(home, tools):
    script = 'echo x >> "$HOME/count"; sleep 0.3'

    reports = [job(tools).run(script) for _ in range(10)]

    assert {report.exit_status for report in reports} == {0}
    assert (home / "count").read_text() == "x\n"


def test_starts_sent_at_the_same_moment_run_once(home):
    code = (
        "import sys; sys.path.insert(0, 'tests'); from opsplay.engine.job import *;"
        "import subprocess; subprocess.run(['sh','-c',start_script('job-1','r/x')],"
        "input=payload('echo x >> \"$HOME/count\"; sleep 0.3', {}), check=True)"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) for _ in range(6)
    ]

    assert [starter.wait(30) for starter in starters] == [0] * 6
    assert (home / "count").read_text() == "x\n"


def test_a_job_has_its_directory_and_keeps_it_private(home, tools):
    report = job(tools).run('echo "$OPSPLAY_RUN_DIR"; touch "$OPSPLAY_RUN_DIR/x"; umask')

    assert report.output.splitlines() == [
        f"{home}/.opsplay/runs/run-1/bakery-production",
        "0022",
    ]
    assert (home / ".opsplay").stat().st_mode & 0o777 == 0o700


def test_a_secret_reaches_the_job_but_no_file_and_no_command_line(home, tools):
    secret = Secret("env:TOKEN", lambda _: "s3cr3t 'with\" quotes\nand a line")

    report = job(tools).run(
        'printf %s "$TOKEN" | wc -c; cat /proc/$$/cmdline | tr "\\0" " "', secrets={"TOKEN": secret}
    )

    length, command = report.output.split("\n", 1)
    assert int(length) == len(secret.reveal())
    assert "s3cr3t" not in command
    for path in home.rglob("*"):
        assert path.is_dir() or b"s3cr3t" not in path.read_bytes(), path


@pytest.mark.parametrize("name", ["d", "run", "lock", "starter", "secrets"])
def test_a_secret_may_have_the_name_of_a_variable_of_ours(home, tools, name):
    secret = Secret("env:TOKEN", lambda _: "s3cr3t")

    report = job(tools).run(f'printf %s "${name}" | wc -c', secrets={name: secret})

    assert report.output.strip() == "6"
    assert all("s3cr3t" not in str(path) for path in home.rglob("*"))


def test_a_secret_that_the_job_prints_is_told_once_and_not_kept_on_the_host(home, tools):
    secret = Secret("env:TOKEN", lambda _: "s3cr3t")

    report = job(tools).run('echo "$TOKEN"; echo "$TOKEN" >&2', secrets={"TOKEN": secret})

    assert (report.output.strip(), report.errors.strip()) == ("s3cr3t", "s3cr3t")
    for path in home.rglob("*"):
        assert path.is_dir() or b"s3cr3t" not in path.read_bytes(), path


def test_a_killed_job_is_lost_and_not_taken_for_done(home, tools):
    one = job(tools)
    script = 'echo $$ > "$HOME/pid"; sleep 60'
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "from opsplay.engine.job import *; import subprocess;"
                f"subprocess.run(['sh','-c',start_script('job-1','r/x')],"
                f"input=payload({script!r},{{}}))"
            ),
        ],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while not (home / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    group = int((home / ".opsplay/jobs/job-1/pid").read_text())
    os.killpg(group, signal.SIGKILL)
    starter.wait(60)

    report = one.wait()

    assert report.state == JobState.LOST
    assert one.run("echo never").state == JobState.LOST


@pytest.mark.usefixtures("home")
def test_a_job_that_was_never_started_is_absent(tools):
    assert job(tools).wait().state == JobState.ABSENT


def test_a_job_goes_on_when_its_controller_is_killed(home, tools):
    script = 'sleep 1; echo done > "$HOME/result"'
    code = (
        "from opsplay.engine.job import *; import subprocess;"
        f"subprocess.run(['sh','-c',start_script('job-1','r/x')],input=payload({script!r},{{}}))"
    )
    controller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not (home / ".opsplay/jobs/job-1/pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    controller.kill()
    controller.wait()

    report = job(tools).wait()

    assert (report.state, report.exit_status) == (JobState.ENDED, 0)
    assert (home / "result").read_text() == "done\n"


def test_a_job_over_its_time_is_ended_with_all_its_children(home, tools):
    with pytest.raises(TimeoutError, match="ended"):
        job(tools).run('echo $$ > "$HOME/pid"; sleep 300 & wait', timeout=0.5)

    pid = (home / "pid").read_text().strip()
    assert state_of(pid) in {"", "Z"}  # gone, or dead and waiting to be collected


def state_of(pid: str) -> str:
    """Return the letter that the kernel has for a process, "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_second_request_to_stop_leaves_the_job_to_itself(home, tools):
    stop = Stop()
    stop.request()
    stop.request()
    hasty = Tools(**{**tools.__dict__, "stop": stop})

    with pytest.raises(Interrupted):
        replace(job(hasty), turns=4).run('sleep 1.5; echo ok > "$HOME/result"')

    assert job(tools).wait().exit_status == 0
    assert (home / "result").exists()


@pytest.mark.parametrize("text", ["", "ended", "ended x", "sudo: no", "ended 0x1\n"])
def test_an_answer_that_proves_nothing_is_not_believed(text):
    with pytest.raises(Exception, match="proves nothing"):
        read_report(text)
