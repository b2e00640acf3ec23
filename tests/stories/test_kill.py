"""kill -9 of the controller at every journal write of a production stage: nothing stays half done."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue
from threading import Lock

import pytest
from tests.stories.conftest import Ops

pytestmark = [pytest.mark.real, pytest.mark.story]

DIES = Path(__file__).with_name("dies.py")
AFTER_AN_ACT = {
    "baseline", "bracket_closed", "bracket_opened", "lock_freed", "lock_taken", "result",
    "undo_result",
}  # fmt: skip
"""Events that tell how an act went: death right before one leaves the act done and untold."""

NEVER = 999
"""A write that no run comes to."""
RESETTING = Lock()
"""One reset at a time: the lab looks after its daemons in each."""

SOME_OR_ALL = (
    pytest.param(12, marks=pytest.mark.proof),
    pytest.param(NEVER, marks=pytest.mark.soak),
)
"""How many points of death."""

BOOK = """\
name: Straight to production
sites: {site}
stages:
  - name: Publish
    maintenance: true
    on_failure: rollback
    steps:
{steps}      - module_update: {{to: latest}}
      - smoke_test: {{}}
"""
CORE = "      - cms_update: {to: latest}\n"


def updates_well(ops: Ops) -> None:
    ops.lab.offer(core=["6.5.5"], plugins={"lab-shop": "1.1.0"})


def breaks_in_production(ops: Ops) -> None:
    ops.lab.offer(core=[], plugins={"lab-shop": "1.3.0"})


def arrange(ops: Ops, site: str, steps: str, *, fatal: bool) -> None:
    with RESETTING:
        ops.lab.reset(site)
    ops.lab.switch_fatal(site, "production", on=fatal)
    ops.write("direct.yaml", BOOK.format(site=site, steps=steps))
    shutil.rmtree(ops.folder / ".opsplay", ignore_errors=True)
    # The first visitor makes WordPress write options of its own.
    ops.lab.page(ops.lab.environment(site, "production").url)


def dying(ops: Ops, side: str, number: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DIES), "playbooks/direct.yaml", "Publish", side, str(number)],
        cwd=ops.folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def stage_writes(ops: Ops, status: int) -> list[list[str]]:
    """Carry the run out undisturbed; return the kinds of the events of each write of its stage."""
    whole = dying(ops, "after", NEVER)
    assert whole.returncode == status, whole.stderr
    writes = json.loads(whole.stdout)
    (first,) = [n for n, kinds in enumerate(writes) if "stage_started" in kinds]
    (last,) = [n for n, kinds in enumerate(writes) if "stage_finished" in kinds]
    return writes[first : last + 1]


def points(writes: list[list[str]]) -> list[tuple[str, int]]:
    after = [("after", number) for number in range(len(writes))]
    told = [number for number, kinds in enumerate(writes) if AFTER_AN_ACT.intersection(kinds)]
    before = [("before", number) for number in told]
    return sorted(after + before, key=lambda point: (point[1], point[0]))


def kill_and_resume(ops: Ops, site: str, steps: str, point: tuple[str, int], *, fatal: bool) -> str:
    """Return what is wrong in the end; nothing when all is well."""
    lab = ops.lab
    arrange(ops, site, steps, fatal=fatal)
    before = lab.fingerprint(site, "production")
    killed = dying(ops, *point)
    if killed.returncode != -9:
        return f"was not killed: {killed.returncode} {killed.stderr[-300:]}"
    resumed = ops("resume", "last")
    environment = lab.environment(site, "production")
    version, (status, body) = lab.version(site, "production"), lab.page(environment.url)
    updated = 'content="1.1.0"' in body and (not steps or version.page == "6.5.5")
    went_back = 'content="1.0.0"' in body and not before.difference(
        lab.fingerprint(site, "production")
    )
    closed = (environment.root / ".maintenance").exists() or (
        environment.root / "wp-content/mu-plugins/opsplay-closed.php"
    ).exists()
    locks = list((environment.home / ".opsplay/locks").glob("*"))
    wrong = {
        f"page answers {status}": status != 200,
        "neither updated nor as before": not (updated or went_back),
        "updated although it breaks": fatal and updated,
        "visitors are still kept out": closed,
        f"locks are left: {locks}": bool(locks),
        "database and files disagree": version.schema != version.wanted_schema,
        f"resume ended with {resumed.exit_status}: {resumed.text[-600:]}": resumed.exit_status
        not in {0, 3},
    }
    return "; ".join(what for what, is_so in wrong.items() if is_so)


def every_point(
    ops: Ops, tmp_path: Path, steps: str, *, fatal: bool, most: int = NEVER
) -> list[str]:
    """Try every point, or `most` of them by chance, two at a time on two sites.

    Return what went wrong where.
    """
    arrange(ops, "bakery", steps, fatal=fatal)
    writes = stage_writes(ops, 3 if fatal else 0)
    every = points(writes)
    wanted = random.sample(every, min(most, len(every)))
    print(f"{len(wanted)} of {len(every)} points of death over {len(writes)} journal writes")
    workers: Queue[tuple[Ops, str]] = Queue()
    for site in ("bakery", "florist"):
        folder = tmp_path / site
        shutil.copytree(ops.folder, folder, symlinks=True)
        workers.put((replace(ops, folder=folder), site))

    def attempt(point: tuple[str, int]) -> str:
        own, site = workers.get()
        try:
            wrong = kill_and_resume(own, site, steps, point, fatal=fatal)
            return f"killed {point[0]} write {point[1]} on {site}: {wrong}" if wrong else ""
        finally:
            workers.put((own, site))

    with ThreadPoolExecutor(2) as pool:
        return [wrong for wrong in pool.map(attempt, wanted) if wrong]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("most", SOME_OR_ALL)
def test_a_kill_at_any_write_of_an_update_ends_updated_or_as_before(ops, tmp_path, most):
    updates_well(ops)

    assert every_point(ops, tmp_path, CORE, fatal=False, most=most) == []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("most", SOME_OR_ALL)
def test_a_kill_at_any_write_of_a_rollback_ends_as_before(ops, tmp_path, most):
    breaks_in_production(ops)

    assert every_point(ops, tmp_path, "", fatal=True, most=most) == []


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_kill_right_before_the_first_act_ends_well(ops):
    updates_well(ops)
    arrange(ops, "bakery", "", fatal=False)
    number = next(n for n, kinds in enumerate(stage_writes(ops, 0)) if "intent" in kinds)

    assert kill_and_resume(ops, "bakery", "", ("after", number), fatal=False) == ""
