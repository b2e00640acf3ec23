"""What a run with nothing to do costs: counters that no busy machine can touch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from tests.engine.workplace import Workplace
from tests.transports.sshd import running

from opsplay import app
from opsplay.core.errors import ExitStatus
from opsplay.journal import Journal
from opsplay.journal.sqlite import SqliteStore
from opsplay.steps.file import File
from opsplay.transports.ssh import SshTransport

pytestmark = pytest.mark.real

SITES = ("bakery", "florist", "mill")
STEPS = 20
TEXT = "setting: '{{ site.cms }}'\n"


def stages():
    """Return a stage of twenty steps, all of them satisfied by `satisfy`."""
    lines = ["- name: Work", "  steps:"]
    for number in range(STEPS // 2):
        lines.append(
            f'    - file: {{path: "conf/{number}.conf", content: "{TEXT}"}}'.replace("\n", "\\n")
        )
        lines.append(
            f"    - command: {{run: 'touch done-{number}', unless: 'test -e done-{number}'}}"
        )
    return "\n".join([*lines, ""])


def satisfy(workplace, *sites):
    for site in sites:
        root = workplace.root(site)
        (root / "conf").mkdir()
        for number in range(STEPS // 2):
            (root / f"conf/{number}.conf").write_text("setting: 'paper-test-cms'\n")
            (root / f"conf/{number}.conf").chmod(0o644)
            (root / f"done-{number}").touch()


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workplace = Workplace(tmp_path, SITES).build()
    satisfy(workplace, *SITES)
    return workplace


@pytest.fixture
def transactions(monkeypatch):
    """Return the list that gets the kinds of the events of each transaction on the journal."""
    seen, add = [], SqliteStore.add

    def noted(self, *args, **named):
        rows = add(self, *args, **named)
        seen.append([(row[3], row[4]) for row in rows])
        return rows

    monkeypatch.setattr(SqliteStore, "add", noted)
    return seen


def test_a_site_with_nothing_to_change_costs_one_write_to_the_disk(fleet, transactions):
    ran = fleet.run(stages())

    assert ran.exit_status == ExitStatus.DONE
    of_sites = [[site for _, site in one] for one in transactions if any(site for _, site in one)]
    own = [sites for sites in of_sites if len(set(sites)) == 1]
    assert Counter(sites[0] for sites in own) == dict.fromkeys(SITES, 1)
    # Beside them: the run begins, its plans are written in one go, it ends.
    assert len(transactions) <= len(SITES) + 5


def test_what_is_written_at_once_is_still_told_in_order(fleet):
    ran = fleet.run(stages())

    for site in SITES:
        kinds = [event.kind for event in ran.events if event.site == site]
        finished = ["step_finished"] * STEPS
        assert kinds == ["planned", "site_started", "stage_started", *finished,
                         "stage_finished", "site_finished"]  # fmt: skip
    steps = [event.data["step"] for event in ran.events if event.kind == "step_finished"]
    assert steps == [*range(STEPS)] * len(SITES)
    journal = Journal(fleet.options.state / "journal.db", None)
    assert journal.verify() is None
    journal.close()


def test_an_act_finds_everything_before_it_on_the_disk(fleet, transactions):
    (fleet.root("bakery") / "done-4").unlink()

    fleet.run(stages())

    groups = [[kind for kind, site in one] for one in transactions if one[-1][1] == "bakery"]
    first = next(number for number, group in enumerate(groups) if "intent" in group)
    assert groups[first][-1] == "intent"
    before = [kind for group in groups[: first + 1] for kind in group]
    assert before.count("step_finished") == 9  # all steps before the one that acts
    assert before[-2:] == ["step_started", "intent"]
    assert [group[-1] for group in groups[first + 1 :]][:2] == ["result", "step_finished"]


def trips(ran):
    return ran.events[-1].data["round_trips"]["local"]


def test_one_change_among_twenty_steps_costs_six_round_trips(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workplace = Workplace(tmp_path).build()
    satisfy(workplace, "bakery")
    (workplace.root() / "done-4").unlink()

    ran = workplace.run(stages())

    assert ran.events[-1].data["state"] == "changed"
    # The plan, the lock, what it says under the lock, the act, how it stands after it, the lock.
    assert trips(ran) == 6
    assert (workplace.root() / "done-4").exists()


def test_twenty_changes_cost_four_round_trips(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workplace = Workplace(tmp_path).build()

    ran = workplace.run(stages())

    assert [e.data["state"] for e in ran.events if e.kind == "step_finished"] == ["changed"] * STEPS
    # The plan; the lock, and what it says under it; all acts, and how it stands after them; the lock.
    assert trips(ran) == 4
    assert workplace.run(stages()).events[-1].data["state"] == "ok"


def test_what_changes_between_plan_and_lock_is_seen_under_the_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workplace = Workplace(tmp_path).build()
    agreed: list[object] = []

    def meanwhile(plan):
        (workplace.root() / "a").touch()  # somebody does by hand what was planned
        agreed.append(plan)
        return True

    book = workplace.playbook(
        "- name: Work\n  steps:\n"
        "    - command: {run: 'echo a >> said', unless: 'test -e a'}\n"
        "    - command: {run: 'touch b', unless: 'test -e b'}\n"
    )
    ran = app.run(book, replace(workplace.options, confirm=meanwhile))

    told = [event.data["state"] for event in ran.events if event.kind == "step_finished"]
    assert agreed
    assert told == ["ok", "changed"]
    assert not (workplace.root() / "said").exists()


def test_a_site_that_is_as_planned_is_not_planned_twice(fleet, monkeypatch):
    planned = Counter()
    plan = File.plan

    def counted(self, site, seen):
        planned[site.name] += 1
        return plan(self, site, seen)

    monkeypatch.setattr(File, "plan", counted)

    fleet.run(stages())

    assert planned == dict.fromkeys(SITES, STEPS // 2)


def test_a_change_by_an_earlier_step_is_seen_by_the_later_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workplace = Workplace(tmp_path).build()
    (workplace.root() / "b").write_text("b")

    ran = workplace.run(
        "- name: Work\n  steps:\n"
        "    - command: {run: 'touch a; rm b', unless: 'test -e a'}\n"
        "    - command: {run: 'touch c', unless: 'test -e a'}\n"
        "    - command: {run: 'touch b', unless: 'test -e b'}\n"
    )

    told = [event.data["state"] for event in ran.events if event.kind == "step_finished"]
    assert told[:2] == ["changed", "ok"]
    assert told[2:] == ["changed"]


def test_twenty_steps_cost_one_round_trip_and_few_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "sshd").mkdir()
    lines = []
    connect = SshTransport.__init__
    monkeypatch.setattr(
        SshTransport,
        "__init__",
        lambda self, *a, **k: (connect(self, *a, **k), lines.append(self))[0],
    )
    with running(tmp_path / "sshd") as server:
        host = server.host()
        workplace = Workplace(tmp_path, host=host.address, ssh=host.ssh_config).build()
        satisfy(workplace, "bakery")

        ran = workplace.run(stages())

    (line,) = lines
    assert ran.exit_status == ExitStatus.DONE
    assert ran.events[-1].data["state"] == "ok"
    assert (line.counters.connects, line.counters.round_trips) == (1, 1)
    # The whole line with its handshake, of which the keys take 2 to 4 kB.
    assert line.counters.bytes_sent < 14_000
    assert line.counters.bytes_received < 14_000


_RUN = """
import sys
from opsplay.core import drivers
from tests.engine.paper_cms import NAME, PaperCms
drivers._DRIVERS[NAME] = PaperCms
sys.argv = ["opsplay", "run", "book.yaml", "--yes"]
from opsplay.cli import main
try:
    main(sys.argv[1:])  # with words given, the process is not left at once
finally:
    print("LOADED", *sorted(sys.modules))
"""


def test_a_run_with_nothing_to_do_loads_nothing_that_it_does_not_need(fleet):
    fleet.playbook(stages().replace("{{ site.cms }}", "paper-test-cms"))
    folder = fleet.folder / "ops"
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    done = subprocess.run(
        [sys.executable, "-c", _RUN], cwd=folder, env={**os.environ, **paths}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip

    assert "3 sites" in done.stdout or "mill" in done.stdout
    loaded = set(done.stdout.partition("LOADED ")[2].split())
    heavy = {"boto3", "botocore", "httpx", "jinja2", "jsonschema", "rich", "paramiko", "fabric",
             "psycopg", "procrastinate", "holidays", "cronsim", "pyrage"}  # fmt: skip
    acting = {"opsplay.engine.perform", "opsplay.engine.store", "opsplay.engine.restore",
              "opsplay.engine.visit"}  # fmt: skip
    assert loaded & (heavy | acting) == set()
    assert "opsplay.engine.runner" in loaded


def test_checking_writes_no_journal_and_asks_once(fleet):
    book = fleet.playbook(stages())

    result = app.check(book, fleet.options)

    assert result.exit_status == ExitStatus.DONE
    assert set(result.plan.round_trips.values()) == {1}
    assert not (fleet.options.state / "journal.db").exists()
