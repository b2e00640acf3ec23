"""The bench itself: its arithmetic, its playbooks, and one short run."""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from tests.bench import accounts, compare, floor, hosts, job, outcome, page, playbooks, scale
from tests.bench.goals import GOALS, verdicts
from tests.bench.timing import Command, Failed, Run

from opsplay import cms, steps
from opsplay.language import read_inventory, read_playbook

ROOT = Path(__file__).parents[2]


def run(wall, cpu=1.0, hosts_cpu=1.0, memory=50.0):
    return Run(wall, cpu, hosts_cpu, memory, foreign=0.0)


@pytest.fixture
def fleet(tmp_path):
    on = tuple(
        hosts.Host(f"h{number:03}", f"127.7.1.{number}", tmp_path / f"h{number}/shop")
        for number in (1, 2)
    )
    (tmp_path / "ssh").mkdir()
    (tmp_path / "ssh/config").write_text("")
    return hosts.Fleet(tmp_path, 2222, on, accounts.Tree(), frozenset())


def test_every_goal_of_the_issue_is_measured_by_a_case_that_both_sides_run():
    cases = {case.name: case for case in compare.CASES}

    assert len(GOALS) == 15
    for goal in GOALS:
        assert "opsplay" in cases[goal.case].rounds
        assert not goal.than or goal.than in cases[goal.case].rounds
    assert len({goal.name for goal in GOALS}) == len(GOALS)


def test_ratios_are_of_medians_and_memory_is_the_most_ever_seen():
    results = {
        ("converged-32", "opsplay"): [run(1.0), run(2.0), run(9.0)],
        ("converged-32", "ansible"): [run(100.0), run(162.0), run(300.0)],
        ("converged-32", "floor"): [run(1.0), run(1.25), run(4.0)],
        ("converged-100", "opsplay"): [run(1.0, memory=99.0), run(1.0, memory=101.0)],
    }

    reached = {
        one.name: one
        for one in verdicts(
            GOALS, results, {"converged-32": 32, "converged-100": 100}, {"converged-100": 100}
        )
    }

    ansible = reached["converged-32-wall-ansible"]
    assert (ansible.ours, ansible.theirs, ansible.ratio, ansible.met) == (2.0, 162.0, 81.0, True)
    assert reached["converged-32-wall-floor"].ratio == 1.6
    assert not reached["converged-32-wall-floor"].met
    assert not reached["converged-100-memory"].met
    assert reached["converged-100-lines"].met
    assert reached["converged-32-host_cpu"].ours == pytest.approx(1000 / 32)
    assert "converged-100-wall-pyinfra" not in reached


def test_the_rounds_of_slow_tools_are_spread_among_those_of_quick_ones():
    turns = list(compare.turns({"opsplay": 6, "pyinfra": 3, "ansible": 2}))

    assert "".join(tool[0] for tool in turns) == "oopoaopoopa"


def test_all_rounds_fit_into_a_quarter_of_an_hour_or_so():
    assert compare.estimate(outcome.Options(Path())) < 16 * 60


def test_what_would_end_too_late_is_not_begun():
    options = outcome.Options(Path(), until=time.monotonic() + 10)

    assert options.has_time_for(5)
    assert not options.has_time_for(15)


def test_both_sides_agree_on_what_is_done_and_what_is_not(tmp_path):
    shop = tmp_path / "shop"

    job.make_done(shop, "h001")

    assert job.left_undone(shop, "h001") == []
    told = subprocess.run(
        ["sh", "-c", floor.script(shop)], capture_output=True, encoding="utf-8", check=True
    )
    assert told.stdout == floor.wanted("h001")
    (shop / job.LINK[0]).unlink()
    (shop / "conf/mail.conf").chmod(0o644)
    assert job.left_undone(shop, "h001") == ["conf/mail.conf", "current"]
    job.make_fresh(shop)
    assert len(job.left_undone(shop, "h001")) == job.STEPS - 1  # two lines are in one file


def test_the_twenty_steps_are_written_for_every_tool(tmp_path, fleet):
    steps.load()
    cms.load()
    places = {}
    for write in (playbooks.for_opsplay, playbooks.for_ansible, playbooks.for_pyinfra):
        places[write.__name__] = tmp_path / write.__name__
        places[write.__name__].mkdir()
        write(places[write.__name__], fleet, fleet.hosts)

    ours = read_playbook(places["for_opsplay"] / "playbooks/steps.yaml")
    inventory = read_inventory(places["for_opsplay"] / "inventory")
    theirs = yaml.safe_load((places["for_ansible"] / "site.yml").read_text())
    deploy = (places["for_pyinfra"] / "deploy.py").read_text()
    kinds = [step.kind for stage in ours.stages for step in stage.steps]
    assert (kinds.count("file"), kinds.count("command")) == (14, 6)
    assert list(inventory.sites) == ["h001", "h002"]
    assert len(theirs[0]["tasks"]) == job.STEPS == len(kinds)
    compile(deploy, "deploy.py", "exec")
    assert "{" + job.NAME not in deploy


@pytest.mark.parametrize("groups", [True, False], ids=["kernel", "tree"])
def test_an_account_knows_what_children_used_that_have_ended(groups, monkeypatch):
    if not groups:
        monkeypatch.setattr(accounts, "_writable", lambda _name: iter(()))
    with accounts.Books() as books:
        account = books.open("tool")
        busy = "import time\nwhile time.process_time() < 0.2: pass"
        with subprocess.Popen(
            [sys.executable, "-c", busy],
            preexec_fn=hosts.entering(account),  # noqa: PLW1509 - no threads of ours
        ) as it:
            account.joined(it.pid)
            while it.poll() is None:
                account.seconds()
                time.sleep(0.02)

        used = account.seconds()

    assert used >= (0.19 if books.exact else 0.05)


def test_tables_go_between_the_marks_and_nowhere_else():
    text = "before\n<!-- bench a -->\nold\n<!-- /bench a -->\nafter\n"

    changed = page.inserted(text, "a", r"new \1")

    assert changed == "before\n<!-- bench a -->\n\nnew \\1\n\n<!-- /bench a -->\nafter\n"
    assert page.inserted(changed, "a", r"new \1") == changed
    assert page.inserted(text, "b", "new").startswith(text)


@pytest.mark.parametrize("name", ["startup", "compare", "backups"])
def test_the_page_has_a_place_for_each_benchmark(name):
    assert f"<!-- bench {name} -->\n" in page.PAGE.read_text()


@pytest.mark.proof
@pytest.mark.real
def test_a_short_run_measures_both_and_leaves_nothing_behind(tmp_path):
    words = ["--only=compare", "--quick", "--hosts=1", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *words], cwd=ROOT, capture_output=True,
        encoding="utf-8", check=False, env=_environment(tmp_path), timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {one["tool"] for one in told["compare"]} == {"opsplay", "floor"}
    assert all(one["wall"] > 0 and one["cpu"] > 0 for one in told["compare"])
    assert statistics.fmean(one["hosts_cpu"] for one in told["compare"]) > 0
    assert [path.name for path in (tmp_path / "opsplay/bench").iterdir()] == ["last.json"]
    assert not _mentioning(str(tmp_path))


def _environment(cache):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"XDG_CACHE_HOME": str(cache)}


def _mentioning(text):
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if text in words and not re.search(r"pytest|python\0-c", words):
            found.append(words)
    return found


def test_a_far_host_answers_in_order_and_never_before_its_round_trip():
    def echo(server):
        line, _ = server.accept()
        with line:
            while data := line.recv(100):
                line.sendall(data)

    with socket.create_server(("127.7.1.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        words = ["-m", "tests.bench.relay", str(port), "0.02", "127.7.2.1=127.7.1.1"]
        with subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE) as relay:
            try:
                relay.stdout.readline()
                started = time.monotonic()
                with socket.create_connection(("127.7.2.1", port), timeout=30) as line:
                    line.sendall(b"first ")
                    line.sendall(b"second")
                    told = line.recv(6, socket.MSG_WAITALL)
                    handshake_and_trip = time.monotonic() - started
                    told += line.recv(6, socket.MSG_WAITALL)
                    started = time.monotonic()
                    line.sendall(b"third!")
                    third = line.recv(6, socket.MSG_WAITALL)
                    trip = time.monotonic() - started
            finally:
                relay.terminate()

    assert told + third == b"first secondthird!"
    assert handshake_and_trip >= 0.04
    assert trip >= 0.02


def test_a_tool_that_does_nothing_and_ends_well_is_left_out(tmp_path, fleet, capsys):
    for host in fleet.hosts:
        job.make_done(host.root, host.name)
    idle = Command(("true",), tmp_path)
    case = compare.Case("converged-2", "two hosts", 2, {})
    results = defaultdict(list)
    with accounts.Books() as books:
        track = compare.Track(case, fleet, books, None, {"pyinfra": idle, "opsplay": idle})

        for _ in range(2):
            compare._turn(track, "pyinfra", outcome.Options(tmp_path), results)

        with pytest.raises(Failed, match="did not go to every host"):
            compare._turn(track, "opsplay", outcome.Options(tmp_path), results)
    assert not results["converged-2", "pyinfra"]
    assert capsys.readouterr().err.count("left out from here on") == 1


@pytest.mark.parametrize("work", scale.WORKS)
def test_a_few_sites_are_measured_as_many_are(tmp_path, work):
    row = scale._in_a_process(work, 8, tmp_path)

    assert row["sites"] == 8
    assert {"read", "plan"} <= set(row)
    assert ("carry_out" in row) == (work == "run")
