"""Runs that somebody stops, and runs that meet each other on one site."""

from __future__ import annotations

import shutil
import signal
import time

import pytest
from tests.stories.conftest import Ops
from tests.stories.during import heard, is_open, journalled, locks, wait_for

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.timeout(200)]

UPDATE = """\
name: Update core
sites: bakery
stages:
  - name: Publish
    maintenance: true
    on_failure: rollback
    steps:
      - cms_update: {to: latest}
      - module_update: {to: latest}
"""

SLOW = """\
name: Something slow
sites: bakery
stages:
  - name: Work
    steps:
      - command: {run: "while [ ! -e ../logs/go ]; do sleep 0.1; done"}
      - command: {run: "touch ../logs/second"}
"""


@pytest.fixture
def ended(ops):
    """What is asserted of each end: the door open, no lock left."""

    def look() -> None:
        assert is_open(ops, "bakery")
        assert locks(ops, "web1") == []

    return look


@pytest.mark.parametrize(
    "sign", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.proof)]
)
def test_one_sign_to_stop_lets_the_act_end_and_takes_the_stage_back(ops, ended, sign):
    lab, book = ops.lab, ops.write("update.yaml", UPDATE)
    before = lab.fingerprint("bakery", "production")
    run = ops.start("run", book)
    wait_for(journalled(ops, "intent", kind="cms_update"), run)

    run.send_signal(sign)
    said = heard(run)

    assert said.exit_status == 130, said.text
    assert "stopping after the current act" in said.text
    assert "rolled-back" in said.text
    results = [event for event in ops.events() if event["event"] == "result"]
    assert [one["outcome"] for one in results] == ["done"]
    assert before.difference(lab.fingerprint("bakery", "production")) == ()
    ended()


@pytest.mark.proof
def test_a_second_ctrl_c_stops_at_once_and_resume_ends_the_job(ops, ended):
    lab, book = ops.lab, ops.write("update.yaml", UPDATE)
    run = ops.start("run", book)
    wait_for(journalled(ops, "intent", kind="cms_update"), run)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)  # two signals at the same moment would be one
    run.send_signal(signal.SIGINT)

    said = heard(run)

    assert said.exit_status == 130, said.text
    assert "resume" in said.text
    assert locks(ops, "web1") != []
    (stopped,) = {event["run"] for event in said_runs(ops)}

    other = ops("run", book)

    assert other.exit_status == 6, other.text
    assert stopped in other.text
    assert f"resume {stopped}" in other.text

    resumed = ops("resume", stopped)

    assert resumed.exit_status == 0, resumed.text
    version = lab.version("bakery", "production")
    assert (version.files, version.page) == ("6.5.5", "6.5.5")
    assert version.schema == version.wanted_schema
    ended()


@pytest.mark.proof
def test_a_second_ctrl_c_does_not_wait_for_the_rest_of_a_backup(ops, ended):
    for file in (ops.folder / "inventory").glob("*.yaml"):
        text = file.read_text().replace("{{ lab_s3_endpoint }}", "{{ lab_s3_relay_endpoint }}")
        file.write_text(text)
    with ops.lab.relay("s3") as storage:
        storage.delay = 1.0  # there is time for two signs while one piece travels
        run = ops.start("run", "playbooks/backup.yaml", "--limit", "bakery")
        wait_for(lambda: storage.traffic.sent > 65536, run)
        run.send_signal(signal.SIGINT)
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        said = heard(run)
        storage.delay = 0.0
        listed = ops("backups", "bakery", "--json").json
        (stopped,) = {event["run"] for event in said_runs(ops)}

        resumed = ops("resume", stopped)

    assert said.exit_status == 130, said.text
    assert "in the middle of the backup" in said.text
    assert [one["backups"] for one in listed] == [[]]
    assert resumed.exit_status == 0, resumed.text
    assert list(ops.lab.places.home("web1").glob(".opsplay/spool/*")) == []
    ended()


def let_go(ops: Ops) -> None:
    """Let the slow command end."""
    (ops.lab.environment("bakery", "production").home / "logs" / "go").touch()


def said_runs(ops: Ops) -> list[dict[str, str]]:
    import json

    said = ops("logs", "--json")
    return [run for line in said.stdout.splitlines() for run in json.loads(line)["runs"]]


def test_a_second_run_is_told_who_is_at_work_and_changes_nothing(ops, tmp_path, ended):
    book = ops.write("slow.yaml", SLOW)
    colleague = Ops(tmp_path / "colleague", ops.lab)
    shutil.copytree(ops.folder, colleague.folder, symlinks=True)
    first = ops.start("run", book)
    wait_for(journalled(ops, "intent"), first)
    (running,) = {event["run"] for event in said_runs(ops)}

    beside, elsewhere = ops.start("run", book), colleague.start("run", book)
    beside, elsewhere = heard(beside), heard(elsewhere)
    let_go(ops)
    first = heard(first)

    assert first.exit_status == 0, first.text
    assert (beside.exit_status, elsewhere.exit_status) == (6, 6), beside.text + elsewhere.text
    for refused in (beside, elsewhere):
        assert running in refused.text
        assert f"logs {running}" in refused.text
    assert len(said_runs(ops)) == 1
    assert "intent" not in colleague.kinds()
    ended()


def test_the_lock_of_a_killed_run_is_named_and_resume_frees_it(ops, ended):
    book = ops.write("slow.yaml", SLOW)
    run = ops.start("run", book)
    wait_for(journalled(ops, "intent"), run)
    run.kill()
    assert heard(run).exit_status == -signal.SIGKILL
    (killed,) = {event["run"] for event in said_runs(ops)}

    refused = ops("run", book)

    assert refused.exit_status == 6, refused.text
    assert f"resume {killed}" in refused.text
    assert len(locks(ops, "web1")) == 1

    let_go(ops)
    resumed = ops("resume", killed)

    assert resumed.exit_status == 0, resumed.text
    assert (ops.lab.environment("bakery", "production").home / "logs" / "second").exists()
    ended()
    assert ops("run", book).exit_status == 0
