"""The shipped drill starts each quarter, and a drill that failed is the run's own exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsplay import cms, steps
from opsplay.core.action import Drill, from_data, to_data
from opsplay.core.errors import DrillFailed, ExitStatus
from opsplay.engine.runner import worst
from opsplay.language.read import playbook_from_text

SHIPPED = Path(__file__).parents[2] / "playbooks" / "restore-drill.yaml"


def test_the_shipped_playbook_is_valid_and_starts_each_quarter():
    cms.load()
    steps.load()

    book = playbook_from_text(SHIPPED.read_text(), str(SHIPPED))

    assert book.schedule is not None
    assert book.schedule.said == "quarterly"
    assert book.forks == 1
    assert [step.kind for stage in book.stages for step in stage.steps] == ["restore_drill"]


def test_a_drill_is_journalled_and_read_back():
    drill = Drill("last", ("/", "/shop/"), ("Add to basket",), 60.0)

    assert from_data(to_data(drill)) == drill


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ({ExitStatus.DONE, ExitStatus.DRILL_FAILED}, ExitStatus.DRILL_FAILED),
        ({ExitStatus.UNREACHABLE, ExitStatus.DRILL_FAILED}, ExitStatus.DRILL_FAILED),
        ({ExitStatus.FAILED, ExitStatus.DRILL_FAILED}, ExitStatus.FAILED),
    ],
)
def test_a_failed_drill_among_other_sites_is_not_hidden(statuses, status):
    assert worst(statuses) == status
    assert DrillFailed("x").exit_status == ExitStatus.DRILL_FAILED
