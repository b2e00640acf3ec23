"""What holds for every run on a real host: dry runs, round trips, repetition, undo, secrets."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.engine.workplace import Workplace

from opsplay import app
from opsplay.core.errors import ExitStatus, WouldChange
from opsplay.transports.dry import DryRun
from opsplay.transports.local import LocalTransport

pytestmark = pytest.mark.real

CANARY = "canary-5f2c'$x\"9"

ALL_KINDS = """
- name: Protect
  prepares: Publish
  steps:
    - backup: {}
- name: Rehearse
  environment: staging
  prepares: Publish
  steps:
    - staging_clone: {from: production}
    - cms_update: {to: latest}
    - module_update: {to: latest}
- name: Publish
  maintenance: true
  on_failure: rollback
  steps:
    - cms_update: {to: rehearsed}
    - module_update: {to: rehearsed}
    - file: {path: robots.txt, content: "new"}
    - command: {run: 'echo x >> ../bakery-production.diary'}
    - command: {run: 'touch made', unless: 'test -e made'}
    - smoke_test: {}
- name: Back
  steps:
    - rollback: {run: last}
    - restore: {snapshot: last}
"""
WISHES = """
- name: Wishes
  steps:
    - file: {path: new/robots.txt, content: "new\\n", mode: '640'}
    - file: {path: version, content: "old text is kept\\n"}
    - command: {run: 'touch made', unless: 'test -e made'}
"""
VAULT = "vaults: {here: {kind: memory}}"


class Recording(LocalTransport):
    """Remembers every script that reaches the host."""

    scripts: list[str] = []  # noqa: RUF012 - one list for all, emptied by the fixture

    def run(self, script, *, stdin=b"", timeout=60.0):
        self.scripts.append(script)
        return super().run(script, stdin=stdin, timeout=timeout)

    def open(self, script):
        self.scripts.append(script)
        return super().open(script)


@pytest.fixture
def recorded(monkeypatch):
    from opsplay.app import workshop

    monkeypatch.setattr(workshop, "open_transport", Recording)
    monkeypatch.setattr(Recording, "scripts", [])
    return Recording.scripts


@pytest.fixture
def shops(tmp_path, monkeypatch):
    """Six sites on one host, with a vault."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    names = ("bakery", "florist", "grocer", "butcher", "smith", "tailor")
    return Workplace(tmp_path, sites=names, vault="here", variables={"vault": VAULT}).build()


def test_a_check_writes_nothing_and_costs_one_round_trip_whatever_there_is_to_do(shops, recorded):
    shops.offer("2.0")
    before = shops.tree()

    checked = app.check(shops.playbook(ALL_KINDS), shops.options)

    assert checked.exit_status == ExitStatus.PENDING
    assert checked.plan.errors == ()
    assert checked.plan.round_trips == {"local": 1}
    assert len(recorded) == 1
    assert shops.tree() == before
    assert not shops.options.state.exists()


def test_a_check_lets_only_declared_questions_through(shops, recorded, monkeypatch):
    from opsplay.app import runs

    def rude(*given):
        _book, sites, _language, transport, *_rest = given
        transport(sites[0].here.host).run("touch $HOME/written")

    monkeypatch.setattr(runs, "plan_sites", rude)

    with pytest.raises(WouldChange, match="nothing was sent"):
        app.check(shops.playbook(ALL_KINDS), shops.options)
    assert recorded == []


def test_a_dry_transport_refuses_everything_until_it_is_allowed():
    from opsplay.core.environment import Host

    dry = DryRun(LocalTransport(Host("local")))
    for send in (dry.run, dry.open):
        with pytest.raises(WouldChange):
            send("true")
    dry.allow("true")
    assert dry.run("true").ok


def test_applied_once_nothing_is_left_to_do_and_taken_back_all_is_as_before(workplace):
    book = workplace.playbook(WISHES)
    root = workplace.root()
    before = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    first = app.check(book, workplace.options).plan

    done = app.run(book, workplace.options)
    between = app.check(book, workplace.options)
    back = workplace.run("- name: Back\n  steps:\n    - rollback: {run: last}\n")
    (root / "made").unlink()  # a command has no way back of its own
    assert back.exit_status == ExitStatus.DONE, back.events[-2].data
    again = app.check(workplace.playbook(WISHES), workplace.options).plan

    assert (done.exit_status, back.exit_status) == (ExitStatus.DONE, ExitStatus.DONE)
    assert (between.exit_status, between.plan.pending) == (ExitStatus.DONE, False)
    assert changes(again) == changes(first)
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before


def changes(plan):
    return [step.changes for site in plan.sites for stage in site.stages for step in stage.steps]


SECRETIVE = """
- name: Secret
  maintenance: true
  on_failure: rollback
  steps:
    - command:
        run: 'printf "%s\\n" "$TOKEN"; printf "%s\\n" "$TOKEN" >&2; test -n "$TOKEN"'
        secrets: [{name: TOKEN, value: {secret: "env:LAW_TOKEN"}}]
      register: out
    - file: {path: seen.txt, content: "{{ out.output }}"}
    - command: {run: 'echo "$TOKEN" >&2; echo "$TOKEN"; exit 3', secrets: [{name: TOKEN, value: {secret: "env:LAW_TOKEN"}}]}
      retries: 1
      delay: 0.01
"""


def test_a_secret_is_in_no_event_no_file_and_no_script(workplace, monkeypatch, recorded):
    monkeypatch.setenv("LAW_TOKEN", CANARY)
    heard = []
    options = replace(workplace.options, listener=heard.append)

    ran = app.run(workplace.playbook(SECRETIVE), options)

    assert ran.exit_status == ExitStatus.ROLLED_BACK
    results = [event.data for event in ran.events if event.kind == "result"]
    assert results[0]["facts"]["output"] == "•••\n"
    assert "•••" in results[-1]["detail"]
    for event in (*ran.events, *heard):
        assert CANARY not in str(event.data)
        assert "canary-5f2c" not in repr(event)
    assert not any("canary-5f2c" in script for script in recorded)
    left = {
        path
        for path in workplace.folder.rglob("*")
        if path.is_file() and b"canary-5f2c" in path.read_bytes()
    }
    # What a command itself writes to its output stays on its own host, readable by nobody else.
    assert {path.name for path in left} <= {"out", "err"}
    assert (workplace.folder / "home/.opsplay").stat().st_mode & 0o077 == 0


def test_what_the_controller_knows_does_not_reach_a_script_by_itself(workplace, monkeypatch):
    monkeypatch.setenv("LAW_TOKEN", CANARY)

    workplace.run("- name: Look\n  steps:\n    - command: {run: 'env > ../seen'}\n")

    assert CANARY not in (workplace.folder / "seen").read_text()
    assert os.environ["LAW_TOKEN"] == CANARY
