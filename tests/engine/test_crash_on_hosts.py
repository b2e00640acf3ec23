"""Death at every journal write, script and job phase, on real sshd: no site stays in between."""

from __future__ import annotations

import random

import pytest
from tests.engine.crashing import Point, Scene, everywhere, points, scene_of
from tests.engine.workplace import Workplace

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

PLAIN = """
- name: Work
  steps:
    - command: {run: 'echo once-a >> ../bakery-production.diary'}
    - file: {path: robots.txt, content: "new"}
    - command: {run: 'echo once-b >> ../bakery-production.diary && touch made', unless: 'test -e made'}
"""
SAFE = """
- name: Publish
  maintenance: true
  on_failure: rollback
  steps:
    - command: {run: 'echo once-a >> ../bakery-production.diary'}
    - cms_update: {to: latest}
    - file: {path: robots.txt, content: "new"}
"""
ACTS = ("once-a", "once-b", "update")


def end_of(place: Workplace) -> dict[str, str]:
    """Return what is in the site's root."""
    return {path.name: path.read_text() for path in sorted(place.root().iterdir())}


def judge(expected: dict[str, str], before: dict[str, str]):
    def judged(scene: Scene, point: Point) -> str:
        place, status = scene.attempt(point)
        if status not in {0, 1, 3, 8, -9}:
            return f"the run itself ended with {status}"
        last = scene.go_on(place) if status in {1, 8, -9} else status
        end, diary = end_of(place), place.diary()
        locks = scene.home / ".opsplay/locks"
        updated, as_before = end == expected and last == 0, end == before and last in {1, 3}
        wrong = {
            f"ended with {last}: {end}": not (updated or as_before),
            f"visitors are kept out: {end}": place.root().with_name("bakery-production.closed").exists(),
            f"locks are left: {locks}": locks.exists() and any(locks.iterdir()),
            f"acts done twice: {diary}": any(diary.count(act) > 1 for act in ACTS),
            f"acts left out: {diary}": updated and any(diary.count(a) != 1 for a in acts_of(scene)),
        }  # fmt: skip
        return "; ".join(what for what, is_so in wrong.items() if is_so)

    return judged


def acts_of(scene: Scene) -> list[str]:
    return ["once-a", "once-b"] if scene.stages == PLAIN else ["once-a", "update"]


def enumerate_all(tmp_path, stages: str, share: int) -> tuple[int, list[str]]:
    """Try every point, or one of each `share` of them; return how many, and what went wrong."""
    with scene_of(tmp_path / "first", stages) as scene:
        place = scene.fresh()
        before = end_of(place)
        place, status = scene.attempt(None)
        assert status == 0
        expected = end_of(place)
        counts = [int(word) for word in (scene.folder / "counts").read_text().split()]
    every = points(*counts)
    chosen = random.Random(3).sample(every, len(every) // share)
    print(
        f"\n{len(chosen)} of {len(every)} points: {counts[0]} writes, {counts[1]} scripts, {counts[2]} jobs"
    )
    return len(chosen), everywhere(tmp_path, stages, judge(expected, before), chosen)


@pytest.mark.proof
@pytest.mark.parametrize(("stages", "share"), [(PLAIN, 5), (SAFE, 12)])
def test_death_at_some_points_leaves_no_site_in_between_and_does_nothing_twice(
    tmp_path, stages, share
):
    tried, wrong = enumerate_all(tmp_path, stages, share)

    assert wrong == []
    assert tried > 10


@pytest.mark.soak
@pytest.mark.parametrize("stages", [PLAIN, SAFE])
def test_death_at_every_point(tmp_path, stages):
    _, wrong = enumerate_all(tmp_path, stages, 1)

    assert wrong == []
