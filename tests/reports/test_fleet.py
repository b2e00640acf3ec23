"""Hundreds of sites: one line each, counts, and never a flood."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from tests.reports.events import Script

from opsplay.reports.fleet import MANY, fleet_plan, trips
from opsplay.reports.lines import Lines
from opsplay.reports.live import LiveView
from opsplay.reports.story import tell
from opsplay.reports.summary import next_commands, summary

STAGE = {"stage": "Publish", "environment": "production", "not_needed": ""}


def plan(name, *changes, batch=1, risk="", error=""):
    told = [{"what": what, "before": "1", "after": "2"} for what in changes]
    step = {"name": "update", "state": "changed" if changes else "ok", "changes": told}
    stages = [STAGE | {"steps": [step]}]
    pending = bool(changes)
    return {
        "site": name,
        "batch": batch,
        "risk": risk,
        "error": error,
        "pending": pending,
        "stages": stages,
    }


def many_sites(count=200, broken=0, behind=0):
    """Return the events of a run whose first sites failed and whose last ones were left alone."""
    play = Script()
    names = [f"shop-{number:03}" for number in range(count)]
    play("run_started", playbook="Monthly update", file="playbooks/update.yaml", sites=names)
    for name in names:
        play("planned", name)
    for number, name in enumerate(names[: count - behind]):
        play("site_started", name)
        play.stage(name, "Publish", "production")
        failed = number < broken
        outcome = "failed" if failed else "done"
        play.step(name, "Publish", "production", "cms_update", ("WordPress", "6.4", "6.5", outcome, {}),
                  state="failed" if failed else "changed", detail="the disk is full" if failed else "")  # fmt: skip
        play("site_finished", name, state="failed" if failed else "changed",
             detail="the disk is full" if failed else "", exit_status=int(failed), downtime_seconds=3)  # fmt: skip
    if behind:
        play(
            "line_stopped",
            failed=names[:broken],
            reason=f"the line stopped: {broken} of {count} failed",
        )
    for name in names[count - behind :]:
        play("site_finished", name, state="skipped", detail="the line stopped", exit_status=0)
    hosts = {f"web{number}": 7 for number in range(50)}
    return play.finish(1 if broken else 0, "failed" if broken else "changed", **hosts)


def test_each_of_many_sites_has_one_line_when_it_ends():
    lines = Lines()

    told = [lines.render(one).plain for event in many_sites(broken=1) for one in lines.of(event)]

    assert len(told) == 200 + 2
    assert "shop-000  ✗ failed       the disk is full; visitors were kept out for 3.0 s" in told[1]
    assert "shop-001  ▲ changed      1 act; visitors were kept out for 3.0 s" in told[2]


def test_few_sites_are_told_act_by_act():
    lines = Lines()
    told = [one for event in many_sites(count=MANY) for one in lines.of(event)]

    assert len(told) > 3 * MANY


def test_sites_behind_a_stopped_line_are_told_by_one_line():
    events = many_sites(broken=1, behind=150)
    lines = Lines()

    told = [lines.render(one).plain for event in events for one in lines.of(event)]

    assert len(told) == 50 + 3
    assert "the line stopped: 1 of 200 failed; the sites behind are not touched" in told[-2]


def test_the_end_of_many_sites_counts_them_and_shows_the_broken_ones():
    told = summary(story := tell(many_sites(broken=2, behind=150))).plain

    assert "sites        ✗ 2 failed  – 150 skipped  ▲ 48 changed" in told
    assert "line stopped by shop-000, shop-001; 150 sites not touched: shop-050, shop-051" in told
    assert "and 140 more" in told
    assert "round trips  350 to 50 hosts" in told
    assert told.count("the disk is full") == 4
    assert "shop-003" not in told
    assert len(told.splitlines()) < 30
    assert next_commands(story)[1].startswith(
        "invoke run playbooks/update.yaml --limit shop-000,shop-001 "
    )


def test_a_plan_of_many_sites_has_a_line_for_each_that_would_change():
    sites = [plan(f"calm-{number}") for number in range(100)]
    sites += [plan("first", "core", "a", batch=1, risk="essentiel, core 1 → 2, 1 more")]
    sites += [
        plan("second", "core", batch=2),
        plan("gone", batch=2, error="nobody answers\nat all"),
    ]

    told = fleet_plan(sites, {f"web{number}": 1 for number in range(40)}).plain

    assert told.splitlines() == [
        "batch 1",
        "  ▲ changed      first  essentiel, core 1 → 2, 1 more",
        "batch 2",
        "  ▲ changed      second  core 1 → 2",
        "  ✗ failed       gone  nobody answers …",
        "",
        "✓ 100 sites with nothing to change",
        "▲ 3 changes pending on 2 sites",
        "✗ 1 site could not be planned",
        "nothing was written; round trips: 40 to 40 hosts",
    ]


def test_round_trips_to_few_hosts_are_named():
    assert trips({"b": 2, "a": 1}) == "a 1, b 2"
    assert trips({}) == "none"


class Counted(Console):
    printings = 0

    def print(self, *words, **named):
        Counted.printings += 1
        super().print(*words, **named)


@pytest.mark.parametrize(("apart", "most"), [(0.0, 10), (1.0, 1000)])
def test_thousands_of_lines_do_not_draw_the_screen_thousands_of_times(monkeypatch, apart, most):
    monkeypatch.setattr(Counted, "printings", 0)
    out, now = StringIO(), iter(range(100_000))
    terminal = Counted(file=out, force_terminal=True, width=100, height=30)
    view = LiveView(terminal, monotonic=lambda: 1 + apart * next(now))

    with view:
        for event in many_sites()[:-1]:
            view.heard(event)
        moving = Console(file=StringIO(), width=100, height=30)
        moving.print(view)

    assert Counted.printings <= most
    assert out.getvalue().count("1 act") == 200
    assert "200 of 200 sites  ▲ 200 changed" in moving.file.getvalue()
