"""Many sites: their order, their batches, how many at a time, and what a stopped line leaves alone."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.workplace import Workplace, count

from opsplay import app
from opsplay.app.approving import answer
from opsplay.app.arranging import for_run, left_of
from opsplay.core.action import Shell, Store
from opsplay.core.change import Change
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import ExitStatus, Unreachable
from opsplay.core.event import State
from opsplay.core.playbook import Declaration, Playbook, Stage
from opsplay.core.site import Site
from opsplay.engine.fleet import Earlier, arranged, names_of
from opsplay.engine.history import SiteHistory
from opsplay.engine.line import Line, SiteResult
from opsplay.engine.plan import Plan, PlannedStage, PlannedStep, SitePlan
from opsplay.engine.risk import risk_of
from opsplay.engine.tools import Stop
from opsplay.engine.turns import Turns, machines_of
from opsplay.reports.story import tell
from opsplay.reports.summary import next_commands, summary
from opsplay.transports.local import LocalTransport


def planned(name, *changes, host="web", staging="", plan="essentiel", tags=(), error=None):
    """Return a plan whose only stage makes `changes` on production."""
    here = {"production": Environment("production", Host(host, name), f"/srv/{name}", "http://x")}
    if staging:
        here["staging"] = Environment("staging", Host(staging, name), f"/srv/{name}-s", "http://x")
    site = Site(name, "paper-test-cms", here, plan=plan, tags=tags)
    step = PlannedStep(0, Declaration("command", {}), None, tuple(changes))
    step = replace(step, later="" if not changes else "later")
    stages = [PlannedStage(Stage("Publish", (), environment), (step,)) for environment in here]
    return SitePlan(site, tuple(stages), error)


def change(key="core", before="6.4.5", after="6.5.5"):
    return Change("WordPress" if key == "core" else key, Shell(""), before, after, key=key)


def names(plans):
    return [one.site.name for one in plans]


def run_order(*plans, order="risk", serial=(), fixed=()):
    book = Playbook("Test", (), serial=serial, order=order)
    return arranged(Plan("Test", plans, {}), book, fixed)


def test_forty_shops_go_in_four_batches():
    shops = [planned(f"shop-{number:02}") for number in range(40)]

    told = run_order(*shops, order="inventory", serial=("1", "10%", "50%"))

    assert [len(batch) for batch in names_of(told)] == [1, 4, 20, 15]
    assert [name for batch in names_of(told) for name in batch] == names(shops)


def test_a_share_is_one_of_all_sites_rounded_up():
    shops = [planned(str(number)) for number in range(7)]

    assert [len(one) for one in names_of(run_order(*shops, serial=("10%", "30%")))] == [1, 3, 3]


def test_the_order_can_be_turned_round():
    shops = [planned("a"), planned("b"), planned("c")]

    told = run_order(*shops, order="reverse_inventory", serial=("1",))

    assert names_of(told) == [["c"], ["b"], ["a"]]


def test_the_site_that_matters_least_goes_ahead():
    told = run_order(
        planned("critical", change("module:a", "1.0", "1.1"), plan="critique"),
        planned("calm"),
        planned("major", change(before="6.9", after="7.0")),
        planned("minor", change(before="6.4.5", after="6.5")),
        planned("patch", change(before="6.4.4", after="6.4.5")),
        planned("module", change("module:a", "1.0", "2.0")),
        planned("business", change("module:a", "1.0", "1.1"), plan="business"),
        planned("gone", error=Unreachable("it does not answer")),
        planned("chosen", change(before="6.9", after="7.0"), plan="critique", tags=("canary",)),
    )

    order = ["chosen", "module", "patch", "minor", "major", "business", "critical", "calm", "gone"]
    assert names(told.sites) == order
    reasons = {one.site.name: one.risk for one in told.sites}
    assert reasons["chosen"] == "canary, critique, WordPress 6.9 → 7.0"
    assert reasons["calm"] == "essentiel, nothing to change"
    assert reasons["gone"] == "essentiel, could not be planned"


def test_a_backup_is_no_risk_and_the_largest_change_is_told():
    saved = Change("backup", Store(("database",)))

    risk = risk_of(planned("shop", saved, change("module:a", "1", "2"), change()))

    assert risk.reason == "essentiel, WordPress 6.4.5 → 6.5.5, 1 more"


def test_batches_that_were_made_once_are_kept():
    told = run_order(
        *(planned(name, change()) for name in "abcd"), serial=("2",), fixed=[["d"], ["a", "c"]]
    )

    assert [(one.site.name, one.batch) for one in told.sites] == [("d", 1), ("a", 2), ("c", 2)]


def test_a_resume_keeps_the_batches_although_some_sites_are_done_with():
    told = [planned(name, change()) for name in "abc"]
    earlier = Earlier([["a", "b"], ["c"]], {"a": SiteHistory(state=State.CHANGED)})
    book = Playbook("Test", (), serial=("2",), order="risk")

    every = for_run(Plan("Test", told[1:], {}), [one.site for one in told], book, earlier)

    assert names_of(every) == [["a", "b"], ["c"]]
    assert names(left_of(every, earlier).sites) == ["b", "c"]


SITES = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from(["", "x", "s"]), st.booleans()), max_size=12
)


@settings(max_examples=50, deadline=None)
@given(SITES, st.integers(1, 3), st.randoms(use_true_random=False))
def test_no_host_ever_has_more_sites_at_work_than_it_may(sites, per_host, dice):
    plans = [
        planned(str(number), *([change()] if busy else []), host=host, staging=staging)
        for number, (host, staging, busy) in enumerate(sites)
    ]
    turns, running, begun = Turns.of(plans, per_host), [], []

    while True:
        while (plan := turns.next()) is not None:
            running.append(plan)
            begun.append(plan)
        load = [machine for plan in running for machine in machines_of(plan)]
        assert all(load.count(machine) <= per_host for machine in load)
        waiting = [plan for plan in plans if plan not in begun]
        full = {machine for machine in load if load.count(machine) == per_host}
        assert all(machines_of(plan) & full for plan in waiting), "a host stands idle"
        if not running:
            break
        turns.ended(running.pop(dice.randrange(len(running))))

    assert sorted(names(begun)) == sorted(names(plans))


def test_users_of_one_server_share_its_places_and_looking_needs_none():
    one, other = planned("one", change()), planned("other", change())

    assert machines_of(one) == machines_of(other) == {("web", 0)}
    assert machines_of(planned("calm")) == set()


BOOK = tuple(
    Stage(name, (Declaration(kind, {}),))
    for name, kind in (("Rehearse", "cms_update"), ("Ask", "approve"), ("Publish", "cms_update"))
)


def waiting(site, stage):
    return SiteResult(site, State.WAITING, ExitStatus.WAITING, "", stage)


@pytest.mark.parametrize(
    ("stage", "may"), [("Rehearse", 0), ("Ask", 2), ("Publish", 2), ("gone", 0)]
)
def test_nobody_overtakes_a_site_that_waits_but_all_clients_are_asked(stage, may):
    line = Line().behind([waiting("a", stage)], BOOK)

    assert [index for index in range(3) if not line.holds(index)] == list(range(may))
    assert "a" in line.holds(2)


def test_the_slowest_site_before_says_how_far_one_may_go():
    line = Line().behind([waiting("a", "Publish")], BOOK)
    line = line.behind([waiting("b", "Rehearse"), waiting("c", "Publish")], BOOK)

    assert line.until == 0
    assert line.behind([waiting("d", "Publish")], BOOK) == line
    assert line.behind([SiteResult("e", State.OK, ExitStatus.DONE)], BOOK) == line


def test_what_waits_has_neither_passed_nor_failed():
    assert not waiting("a", "Ask").failed
    assert SiteResult("a", State.UNREACHABLE, ExitStatus.UNREACHABLE).failed
    assert SiteResult("a", State.WAITING, ExitStatus.LOCKED).failed
    assert not Line().stopped_by([], 1, 0).stopped
    assert "1 of 4 failed (a)" in Line().stopped_by(["a"], 4, 24).stopped
    assert not Line().stopped_by(["a"], 4, 25).stopped


@pytest.fixture
def shops(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Workplace(tmp_path, sites=("a", "b", "c", "d")).build()


def stage(*steps, **settings):
    name = settings.pop("name", "Work")
    lines = [f"  {key}: {value}" for key, value in settings.items()]
    return "\n".join([f"- name: {name}", *lines, "  steps:", *(f"    {one}" for one in steps), ""])


SAY = "- command: {run: 'echo x >> ../{{ site.name }}-production.diary; [ ! -e ../{{ site.name }}.broken ]'}"
ONE_BY_ONE = "serial: 1\nmax_fail_percentage: 0"


def diaries(place):
    return [place.diary(site) for site in place.sites]


def ends(result):
    return {one.site: one.data["state"] for one in result.events if one.kind == "site_finished"}


class Counting(LocalTransport):
    """Remembers every script after the first, which asks for the plan."""

    sent: list[str] = []  # noqa: RUF012 - shared on purpose

    def run(self, script, *, stdin=b"", timeout=60.0):
        Counting.sent.append(script)
        return super().run(script, stdin=stdin, timeout=timeout)


@pytest.mark.real
def test_a_stopped_line_leaves_the_sites_behind_untouched(shops, monkeypatch):
    monkeypatch.setattr("opsplay.app.workshop.open_transport", Counting)
    monkeypatch.setattr(Counting, "sent", [])
    (shops.folder / "b.broken").touch()
    behind = [
        shops.folder / f"{site}-{where}" for site in "cd" for where in ("production", "staging")
    ]
    before = [sorted((path, path.stat().st_mtime_ns) for path in one.rglob("*")) for one in behind]

    ran = shops.run(stage(SAY), head=ONE_BY_ONE)

    assert ends(ran) == {"a": "changed", "b": "failed", "c": "skipped", "d": "skipped"}
    assert [
        sorted((path, path.stat().st_mtime_ns) for path in one.rglob("*")) for one in behind
    ] == before
    asked, *acts = Counting.sent
    assert not any(f"{shops.folder}/{site}-" in script for script in acts for site in "cd"), asked
    assert {one.kind for one in ran.events if one.site in {"c", "d"}} == {
        "planned",
        "site_finished",
    }


@pytest.mark.real
def test_a_stopped_line_says_who_why_and_how_to_go_on(shops):
    (shops.folder / "b.broken").touch()

    ran = shops.run(stage(SAY), head=ONE_BY_ONE)
    story = tell(ran.events)

    assert [one.data for one in ran.events if one.kind == "line_stopped"] == [
        {"failed": ["b"], "reason": "the line stopped: 1 of 1 failed (b)"}
    ]
    assert "line stopped by b; 2 sites not touched: c, d" in summary(story).plain
    assert next_commands(story) == (
        f"invoke logs {ran.run} --failed",
        f"invoke run {shops.folder}/ops/book.yaml --limit b   (once they are mended)",
        f"invoke resume {ran.run}   (then begins with the sites behind them)",
        f"invoke logs {ran.run}",
    )


@pytest.mark.real
def test_a_resume_goes_past_a_failure_only_once_it_is_mended(shops):
    (shops.folder / "b.broken").touch()
    ran = shops.run(stage(SAY), head=ONE_BY_ONE)

    stopped = app.resume(ran.run, shops.options)
    assert (stopped.exit_status, diaries(shops)) == (ExitStatus.FAILED, [["x"], ["x"], [], []])

    mending = app.run(shops.folder / "ops/book.yaml", replace(shops.options, limit="b"))
    assert mending.exit_status == ExitStatus.FAILED
    assert app.resume(ran.run, shops.options).exit_status == ExitStatus.FAILED
    assert diaries(shops)[2:] == [[], []]

    (shops.folder / "b.broken").unlink()
    mended = app.run(shops.folder / "ops/book.yaml", replace(shops.options, limit="b"))
    gone_on = app.resume(ran.run, shops.options)
    assert (mended.exit_status, gone_on.exit_status) == (ExitStatus.DONE, ExitStatus.DONE)
    assert diaries(shops) == [["x"], ["x", "x", "x"], ["x"], ["x"]]
    last = [one for one in gone_on.events if one.site == "b"][-1].data
    assert (last["state"], last["detail"]) == (
        "ok", f"mended: run {mended.run} brought it through the same playbook"
    )  # fmt: skip


@pytest.mark.real
def test_a_failure_that_somebody_accepts_is_passed_and_a_new_one_is_not(shops):
    for site in "bc":
        (shops.folder / f"{site}.broken").touch()
    ran = shops.run(stage(SAY), head=ONE_BY_ONE)

    gone_on = app.resume(ran.run, shops.options, past_failures=True)

    assert gone_on.exit_status == ExitStatus.FAILED
    assert ends(gone_on) == {"a": "changed", "b": "failed", "c": "failed", "d": "skipped"}
    assert diaries(shops) == [["x"], ["x"], ["x"], []]


@pytest.mark.real
def test_within_a_batch_nobody_else_begins_once_too_many_failed(shops):
    (shops.folder / "a.broken").touch()
    options = replace(shops.options, forks=1)

    ran = app.run(shops.playbook(stage(SAY), "max_fail_percentage: 20"), options)

    assert ends(ran) == {"a": "failed", "b": "skipped", "c": "skipped", "d": "skipped"}


@pytest.mark.real
def test_failures_within_the_allowed_share_do_not_stop_the_line(shops):
    (shops.folder / "a.broken").touch()

    ran = shops.run(stage(SAY), head="serial: 2\nmax_fail_percentage: 50")

    assert ends(ran) == {"a": "failed", "b": "changed", "c": "changed", "d": "changed"}


class Away(LocalTransport):
    """Answers questions; jobs of the sites in `away` do not get through."""

    away: frozenset[str] = frozenset()

    def run(self, script, *, stdin=b"", timeout=60.0):
        if "locks" in script and any(
            f"-{site}-" in script or f"/{site}-" in script for site in Away.away
        ):
            raise Unreachable("nobody answers")
        return super().run(script, stdin=stdin, timeout=timeout)


@pytest.mark.real
def test_a_resume_begins_nobody_behind_a_site_that_is_still_away(shops, monkeypatch):
    monkeypatch.setattr("opsplay.app.workshop.open_transport", Away)
    monkeypatch.setattr("opsplay.kit.clock.SystemClock.sleep", lambda _self, _seconds: None)
    monkeypatch.setattr(Away, "away", frozenset("b"))
    ran = shops.run(stage(SAY), head="serial: 2\nmax_fail_percentage: 0\norder: risk")
    assert ends(ran) == {"a": "changed", "b": "unreachable", "c": "skipped", "d": "skipped"}

    assert app.resume(ran.run, shops.options).exit_status == ExitStatus.UNREACHABLE
    assert diaries(shops) == [["x"], [], [], []]

    monkeypatch.setattr(Away, "away", frozenset())
    gone_on = app.resume(ran.run, shops.options)
    assert gone_on.exit_status == ExitStatus.DONE
    assert [one.data["batches"] for one in gone_on.events if one.kind == "batched"] == [
        [["a", "b"], ["c", "d"]]
    ]
    begun = [one.site for one in gone_on.events if one.kind == "site_started"]
    assert [sorted(begun[:2]), begun[2:4], sorted(begun[4:])] == [
        ["a", "b"],
        ["b", "b"],
        ["c", "d"],
    ]


@pytest.mark.real
def test_a_site_left_in_the_middle_is_ended_although_the_line_stopped(shops):
    slow = "until [ -e ../go ]; do sleep 0.05; done; echo x >> ../{{ site.name }}-production.diary"
    only_b = "when: \"site.name == 'b'\""
    work = stage("- command: {run: 'exit 1'}", "  when: \"site.name == 'a'\"").replace(
        "Work", "Break"
    )
    work += stage(f"- command: {{run: '{slow}'}}", f"  {only_b}", SAY, f"  {only_b}")
    begun, failed, stop = threading.Event(), threading.Event(), Stop()

    def listen(event):
        if event.kind == "intent" and event.site == "b":
            begun.set()
        if event.kind == "site_finished" and event.site == "a":
            failed.set()
        if begun.is_set() and failed.is_set() and not stop.at_once:
            stop.request()
            stop.request()

    options = replace(shops.options, listener=listen, stop=stop, limit="a,b")
    cut = app.run(shops.playbook(work, "max_fail_percentage: 0"), options)
    (shops.folder / "go").touch()

    gone_on = app.resume(cut.run, replace(shops.options))

    assert cut.exit_status == ExitStatus.INTERRUPTED
    assert ends(gone_on) == {"a": "failed", "b": "changed"}
    assert shops.diary("b") == ["x", "x"]
    assert gone_on.events[-2].kind == "site_finished"
    assert not list((shops.folder / "home/.opsplay/locks").iterdir())


ASKED = (
    stage("- cms_update: {to: latest}", name="Rehearse", environment="staging", prepares="Publish")
    + stage("- approve: {by: client, within: 5 days}", name="Ask", prepares="Publish")
    + stage("- cms_update: {to: rehearsed}", name="Publish")
)


def version(place, site, where="production"):
    return (place.root(site, where) / "version").read_text().strip()


@pytest.mark.real
def test_a_canary_that_waits_for_its_client_lets_nobody_publish_but_all_are_asked(shops):
    shops.offer("2.0")
    ran = shops.run(ASKED, head=ONE_BY_ONE)

    assert ran.exit_status == ExitStatus.WAITING
    assert set(ends(ran).values()) == {"waiting"}
    assert [version(shops, site, "staging") for site in shops.sites] == ["2.0"] * 4
    assert count(ran.events, "approval_asked") == 4

    for site in "bcd":
        answer(ran.run, shops.options, site=site)
    held = app.resume(ran.run, shops.options)
    assert held.exit_status == ExitStatus.WAITING
    assert [version(shops, site) for site in shops.sites] == ["1.0"] * 4

    answer(ran.run, shops.options, site="a")
    done = app.resume(ran.run, shops.options)
    assert done.exit_status == ExitStatus.DONE
    assert [version(shops, site) for site in shops.sites] == ["2.0"] * 4


BUSY = (
    "touch ../{{ site.name }}.busy; ls .. | grep -c [.]busy >> ../counts;"
    " sleep 0.3; rm ../{{ site.name }}.busy"
)


@pytest.mark.real
@pytest.mark.parametrize(
    ("head", "forks", "most"),
    [("per_host: 2", 0, 2), ("per_host: 4", 1, 1), ("forks: 1", 0, 1), ("forks: 1", 3, 3)],
)
def test_never_more_sites_are_at_work_than_the_host_and_the_command_allow(shops, head, forks, most):
    book = shops.playbook(stage(f"- command: {{run: '{BUSY}'}}"), head)

    assert app.run(book, replace(shops.options, forks=forks)).exit_status == ExitStatus.DONE

    counts = [int(line) for line in (shops.folder / "counts").read_text().split()]
    assert len(counts) == 4
    assert max(counts) == most
