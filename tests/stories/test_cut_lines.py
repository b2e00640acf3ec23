"""The SSH line is cut in the worst moments: the run ends well, or says how things stand."""

from __future__ import annotations

import time

import pytest
from tests.stories.during import heard, is_open, journalled, locks, wait_for

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.proof, pytest.mark.timeout(300)]

SECONDS = 20
"""How long the line stays away."""

UPDATE = """\
name: Update behind a line that breaks
sites: bakery
stages:
  - name: Publish
    maintenance: true
    on_failure: rollback
    steps:
      - cms_update: {to: latest}
      - smoke_test: {}
"""

BACKUP = """\
name: Back up over a line that breaks
sites: bakery
stages:
  - name: Back up
    steps:
      - backup: {include: [database, files]}
"""


@pytest.fixture
def relayed(ops):
    """The ops repository, with bakery's host reached through the relay."""
    for file in (ops.folder / "inventory").glob("*.yaml"):
        text = file.read_text()
        for environment in ("production", "staging"):
            text = text.replace(f'"{{{{ bakery_{environment}_host }}}}"', "lab-web1-relay")
        text = text.replace("{{ lab_s3_endpoint }}", "{{ lab_s3_relay_endpoint }}")
        file.write_text(text)
    return ops


def show(record_property, name: str, started: float, ops) -> None:
    """Keep the figures: `pytest --junitxml` has them, `-s` shows them."""
    events = ops.events()
    retries = [event for event in events if event["event"] == "retry"]
    seconds = time.monotonic() - started
    record_property(name, f"{seconds:.1f} s")
    print(f"\n{name}: {seconds:.1f} s, {len(retries)} retries journalled")


@pytest.mark.parametrize("how", ["freeze", "reset"])
def test_a_line_cut_in_the_middle_of_a_backup_does_not_keep_it_from_being_made(
    relayed, record_property, how
):
    book, lab = relayed.write("backup.yaml", BACKUP), relayed.lab
    with lab.relay("web1") as line, lab.relay("s3") as storage:
        storage.delay = 0.02
        started = time.monotonic()
        run = relayed.start("run", book)
        wait_for(lambda: storage.traffic.sent > 2_000_000, run)
        line.cut(SECONDS, how)
        storage.delay = 0.0

        said = heard(run)
        listed = relayed("backups", "bakery", "--json").json

    show(record_property, f"backup, line {how}", started, relayed)
    assert said.exit_status == 0, said.text
    assert {"retry", "lock_freed"} <= set(relayed.kinds())
    assert locks(relayed, "web1") == []
    assert [len(one["backups"]) for one in listed] == [1]
    assert list(lab.places.home("web1").glob(".opsplay/spool/*")) == []


@pytest.mark.parametrize("how", ["reset", "freeze"])
def test_a_line_cut_in_the_middle_of_an_update_leaves_a_whole_site(relayed, record_property, how):
    book, lab = relayed.write("update.yaml", UPDATE), relayed.lab
    with lab.relay("web1") as line:
        started = time.monotonic()
        run = relayed.start("run", book)
        wait_for(journalled(relayed, "intent", kind="cms_update"), run)
        line.cut(SECONDS, how)

        said = heard(run)

    show(record_property, f"update, line {how}", started, relayed)
    assert said.exit_status == 0, said.text
    version = lab.version("bakery", "production")
    assert (version.files, version.page) == ("6.5.5", "6.5.5")
    assert version.schema == version.wanted_schema
    assert "retry" in relayed.kinds()
    assert is_open(relayed, "bakery")
    assert locks(relayed, "web1") == []


def test_a_line_that_stays_away_is_told_and_resume_ends_the_job(relayed, record_property):
    book, lab = relayed.write("update.yaml", UPDATE), relayed.lab
    with lab.relay("web1") as line:
        run = relayed.start("run", book)
        wait_for(journalled(relayed, "intent", kind="cms_update"), run)
        started = time.monotonic()
        line.cut(3600)
        said = heard(run)
        show(record_property, "given up", started, relayed)
    assert said.exit_status == 8, said.text
    assert "resume" in said.text
    assert locks(relayed, "web1") != []

    with lab.relay("web1"):
        resumed = relayed("resume", "last")

    assert resumed.exit_status == 0, resumed.text
    version = lab.version("bakery", "production")
    assert (version.files, version.page) == ("6.5.5", "6.5.5")
    assert version.schema == version.wanted_schema
    assert is_open(relayed, "bakery")
    assert locks(relayed, "web1") == []
