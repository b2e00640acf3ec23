"""Broken playbooks and inventories, each answered exactly as in its `expected.txt`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opsplay import cms
from opsplay.core.drivers import driver_names
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.language import read_all, read_inventory, read_playbook
from opsplay.language.schema import kinds

cms.load()
CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())
REWRITE = os.environ.get("OPSPLAY_REWRITE_CASES") == "1"
"""Set it to 1 to write the answers down; then read every one of them as a person would."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_mistake_is_named_where_it_stands_with_a_way_out(case, monkeypatch):
    monkeypatch.chdir(case)

    answer = _answer()

    if REWRITE:
        Path("expected.txt").write_text(answer)
    assert answer == Path("expected.txt").read_text()


def _answer() -> str:
    with pytest.raises(InvalidInput) as caught:
        _read()
    assert caught.value.exit_status is ExitStatus.INVALID
    assert caught.value.problems
    answer = "".join(f"{problem}\n" for problem in caught.value.problems)
    # a new step kind or driver must not need these files to be touched
    answer = answer.replace(", ".join(kinds()), "(every step kind)")
    return answer.replace(f"choices: {', '.join(driver_names())}", "choices: (every CMS)")


def _read() -> None:
    if not Path("inventory").exists():
        read_playbook("playbook.yaml")
    elif not Path("playbook.yaml").exists():
        read_inventory("inventory")
    else:
        read_all("playbook.yaml", "inventory")


def test_there_are_more_cases_than_were_promised():
    assert len(CASES) >= 35


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_answer_speaks_the_validators_jargon(case):
    answer = (case / "expected.txt").read_text()

    for word in (
        "Traceback",
        "ValidationError",
        "is not of type",
        "does not match",
        "jinja",
        "None",
    ):
        assert word not in answer
    assert "hunter2" not in answer
