"""The benchmark of backups compares what it says it compares."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.backup.database import Database
from tests.bench import backups, backups_site, backups_tools
from tests.bench.backups_run import Cost
from tests.bench.backups_site import Shop
from tests.bench.outcome import Options


def cost(seconds: float, memory: float = 100.0) -> Cost:
    return Cost(seconds, 1.0, memory, 0.0, 0.0, 0.0, 1.0)


def test_every_goal_is_about_an_act():
    acts = {act.name for act in backups.ACTS}

    assert {goal.act for goal in backups.GOALS} <= acts
    needed = {(goal.act, goal.quantity): goal.needed for goal in backups.GOALS}
    assert needed["first", "wall"] == 1.5
    assert needed["first", "host_memory"] == 4
    assert needed["unchanged-files", "wall"] == needed["changed-files", "wall"] == 5
    assert needed["unchanged-both", "wall"] == needed["changed-both", "wall"] == 1
    assert needed["restore-files", "wall"] == 1.3


def test_times_are_medians_and_memory_is_the_most():
    results = {
        ("first", "opsplay"): [cost(2.0, 10), cost(3.0, 30), cost(8.0, 20)],
        ("first", "restic"): [cost(6.0, 120), cost(5.0, 100), cost(60.0, 90)],
        ("restore-files", "opsplay"): [cost(1.0)],
    }

    found = backups.verdicts(results)

    assert [(one.name, one.ratio, one.met) for one in found] == [
        ("first-wall-restic", 2.0, True),
        ("first-host-memory-restic", 4.0, True),
    ]
    assert set(found[0].facts) >= {"name", "ours", "theirs", "ratio", "needed", "met"}


def test_the_site_is_the_same_each_time_and_a_hundredth_of_it_changes(tmp_path: Path):
    shops = [Shop(tmp_path / name, Database(tmp_path / "s"), "shop", 0.02) for name in "ab"]
    for shop in shops:
        shop.build_files()
    first, before = shops

    assert first.fingerprint() == before.fingerprint()
    first.change(3)
    old, new = (
        {p.name: p.read_bytes() for p in one.root.rglob("*") if p.is_file()} for one in shops
    )
    changed = {name for name in new if old[name] != new[name]}
    assert (first.texts, first.images) == (150, 50)
    assert len(changed) == 2 + 1
    assert {name.rpartition(".")[2] for name in changed} <= {"php", "js", "jpg"}
    sample = backups_site._content(Path("photo.jpg"), 1, 0)
    assert len(sample) > 100_000


def test_a_tool_that_is_not_to_be_had_is_left_out_with_a_word(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    said: list[str] = []

    assert backups_tools.there("opsplay", said.append)
    assert not backups_tools.there("restic", said.append)
    assert "restic is left out" in said[-1]


def test_the_estimate_follows_rounds_and_scale():
    full = backups.estimate(Options(Path()))

    assert full > 300
    assert backups.estimate(Options(Path(), scale=0.02, rounds=1)) < 60


@pytest.mark.proof
def test_a_small_site_is_saved_and_brought_back_by_each_tool_that_is_here(tmp_path: Path):
    here = tuple(tool for tool in ("opsplay", "restic") if tool == "opsplay" or shutil.which(tool))

    outcome = backups.measure(Options(tmp_path, rounds=1, scale=0.005, tools=here))

    assert set(outcome.data) == {act.name for act in backups.ACTS}
    assert all(len(costs["opsplay"]) == 1 for costs in outcome.data.values())
    assert "| restore-both" in outcome.markdown
