"""SIGKILL at every journal write, then resume: the same end, and no act done twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.workplace import Workplace, in_a_process_that_dies

from opsplay import app
from opsplay.core.errors import ExitStatus

pytestmark = [pytest.mark.real, pytest.mark.timeout(170)]

PLAIN = """
- name: Work
  steps:
    - command: {run: 'echo once >> ../bakery-production.diary; echo told'}
      register: said
    - command: {run: 'echo "{{ said.output }}" >> ../bakery-production.diary'}
      when: said.output == 'told'
"""
WHOLE = """
- name: Rehearse
  environment: staging
  prepares: Publish
  steps:
    - staging_clone: {from: production}
    - cms_update: {to: latest}
- name: Publish
  maintenance: true
  on_failure: rollback
  steps:
    - command: {run: 'echo once >> ../bakery-production.diary'}
    - cms_update: {to: rehearsed}
    - file: {path: robots.txt, content: "new"}
"""
BROKEN = WHOLE.replace("- cms_update: {to: rehearsed}", "- command: {run: 'echo no; exit 3'}")


def fresh(folder: Path) -> Workplace:
    shutil.rmtree(folder, ignore_errors=True)
    place = Workplace(folder).build()
    place.offer("2.0")
    return place


def end_state(place: Workplace) -> dict[str, object]:
    roots = {
        (environment, path.name): path.read_text()
        for environment in ("production", "staging")
        for path in sorted(place.root("bakery", environment).iterdir())
    }
    locks = place.folder / "home/.opsplay/locks"
    held = sorted(locks.iterdir()) if locks.exists() else []
    return {"roots": roots, "held": held, "closed": list(place.folder.glob("*.closed"))}


def survive(monkeypatch, folder: Path, stages: str, points) -> ExitStatus:
    """Kill at each point and resume; insist on the end of an undisturbed run."""
    monkeypatch.setenv("HOME", str(folder / "home"))
    place = fresh(folder)
    expected_status = place.run(stages).exit_status
    expected, diary = end_state(place), place.diary()
    for point in points:
        place = fresh(folder)
        book = place.playbook(stages)
        died = in_a_process_that_dies(point, lambda p=place, b=book: app.run(b, p.options))
        if not died:
            break
        ended = app.resume("last", place.options)
        assert ended.exit_status == expected_status, point
        assert end_state(place) == expected, point
        assert _acts(place.diary()) == _acts(diary), (point, place.diary())
    else:
        died = False
    assert not died
    return expected_status


def _acts(diary: list[str]) -> list[str]:
    # Doors and restore points may be made again: they say the same when done twice.
    return [word for word in diary if word in {"once", "told"}]


def test_a_run_killed_at_any_write_ends_as_if_nothing_had_happened(tmp_path, monkeypatch):
    assert survive(monkeypatch, tmp_path / "w", PLAIN, range(8, 999)) == ExitStatus.DONE


@pytest.mark.proof
@pytest.mark.parametrize(
    ("stages", "status"), [(WHOLE, ExitStatus.DONE), (BROKEN, ExitStatus.ROLLED_BACK)]
)
def test_so_does_a_production_stage_with_its_brackets(tmp_path, monkeypatch, stages, status):
    points = (29, 45, 61, 999)

    assert survive(monkeypatch, tmp_path / "w", stages, points) == status


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("stages", "status"), [(WHOLE, ExitStatus.DONE), (BROKEN, ExitStatus.ROLLED_BACK)]
)
def test_at_every_single_write(tmp_path, monkeypatch, stages, status):
    assert survive(monkeypatch, tmp_path / "w", stages, range(1, 999)) == status


def test_a_workplace_is_the_same_each_time(tmp_path):
    one, other = (fresh(tmp_path / "w") for _ in range(2))

    assert one == replace(other)
