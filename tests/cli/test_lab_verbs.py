"""The verbs around the lab, on the lab."""

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.terminal import ROOT, piped

HOME = str(Path.home())
"""Where the lab's cache of downloaded parts is."""
pytestmark = pytest.mark.real


@pytest.fixture
def ops(lab, tmp_path):
    (tmp_path / "inventory").mkdir()
    for name in ("lab.yaml", "vaults.yaml"):
        shutil.copy(ROOT / "inventory" / name, tmp_path / "inventory" / name)
    (tmp_path / ".lab").symlink_to(lab.places.directory)
    return tmp_path


def test_the_doctor_finds_the_lab_in_order(ops):
    ended = piped(ops, "doctor")

    assert ended.out.endswith("everything is in order\n")
    assert "vault offsite" in ended.out
    assert ended.status == 0


def test_the_labs_state_is_told_and_one_site_can_be_reset(ops):
    status = piped(ops, "lab.status", "--directory", str(ops / ".lab"))
    again = piped(ops, "lab.reset", "--site", "florist", "--json", HOME=HOME)

    assert "bakery-production" in status.out
    assert json.loads(again.out)["up"] is True
    assert (status.status, again.status) == (0, 0)


def test_a_lab_that_is_up_is_left_alone(ops):
    ended = piped(ops, "lab.up", HOME=HOME)

    assert "lab: database   runs" in ended.out
    assert ended.status == 0


def test_where_no_lab_is_the_way_to_one_is_told(tmp_path):
    ended = piped(tmp_path, "lab.status")

    assert "start it: opsplay lab.up" in ended.out
    assert ended.status == 1
    assert json.loads(piped(tmp_path, "lab.down", "--json").out)["up"] is False
