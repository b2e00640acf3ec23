"""SSH lines cut at random moments, for 1 s, 30 s or for good: the same end, no act done twice."""

from __future__ import annotations

import os
import random
import time
from multiprocessing import get_context

import pytest
from tests.engine.crashing import Scene, beginning, in_child
from tests.engine.test_crash_on_hosts import ACTS, SAFE, end_of
from tests.transports.relay import Relay, relay_to
from tests.transports.sshd import running

from opsplay import app
from opsplay.core.errors import ExitStatus

pytestmark = [pytest.mark.real, pytest.mark.timeout(7200)]

SEED = 20261122
SECONDS = (1.0, 30.0, None)
"""How long the line stays away; None: for good, until somebody resumes."""
SIDE_BY_SIDE = 5
"""Rounds at the same time, each with a host and a relay of its own: most of a round is waiting."""
SPREAD = 2.5
"""Seconds after the start within which the line is cut; a run takes about as long."""
SLOW = SAFE.replace("'echo once-a", "'sleep 0.3; echo once-a")


def cut_once(scene: Scene, moment: float, seconds: float | None, how: str) -> tuple[int, bool]:
    """Carry the run out over a line that is cut; return its last exit status, and if it was cut."""
    with relay_to(scene.server.port) as relay:
        place = scene.fresh(port=relay.port)
        book = place.playbook(scene.stages)
        child = beginning(lambda: int(app.run(book, place.options).exit_status))
        time.sleep(moment)
        cut = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        relay.fall_silent()
        if how == "reset":
            relay.reset()
        if seconds is not None:
            time.sleep(seconds)
            mend(relay)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        mend(relay)
        for _ in range(3):
            if status != ExitStatus.UNREACHABLE:
                break
            status = in_child(lambda: int(app.resume("last", place.options).exit_status))
    return status, cut


def mend(relay: Relay) -> None:
    relay.speak_again()
    relay.reset()


def judged(scene: Scene, moment: float, seconds: float | None, how: str, ends) -> str:
    status, cut = cut_once(scene, moment, seconds, how)
    before, expected = ends
    place = scene.place
    end, diary = end_of(place), place.diary()
    locks = scene.home / ".opsplay/locks"
    whole = (end == expected and status == 0) or (end == before and status in {1, 3})
    wrong = {
        f"ended with {status}: {end}": not whole,
        "visitors are kept out": place.root().with_name("bakery-production.closed").exists(),
        "locks are left": locks.exists() and any(locks.iterdir()),
        f"acts done twice: {diary}": any(diary.count(act) > 1 for act in ACTS),
    }
    return "; ".join(what for what, is_so in wrong.items() if is_so) or ("" if cut else "not cut")


def all_rounds(tmp_path, rounds: int, lengths) -> list[str]:
    """Return what went wrong in so many rounds; prints what was tried."""
    chance = random.Random(SEED)
    chosen = [
        (chance.uniform(0.1, SPREAD), lengths[number % len(lengths)], chance.choice(["reset", "freeze"]))
        for number in range(rounds)
    ]  # fmt: skip
    side_by_side = min(SIDE_BY_SIDE, rounds)
    told = get_context("fork").SimpleQueue()

    def work(number: int) -> None:
        place = tmp_path / str(number)
        (place / "host").mkdir(parents=True)
        with running(place / "host") as server:
            scene = Scene(server, place / "work", SLOW)
            before = end_of(scene.fresh())
            scene.attempt(None)
            ends = before, end_of(scene.place)
            for moment, seconds, how in chosen[number::side_by_side]:
                wrong = judged(scene, moment, seconds, how, ends)
                told.put((f"{how} after {moment:.2f} s for {seconds} s", wrong))

    children = [get_context("fork").Process(target=work, args=(n,)) for n in range(side_by_side)]
    for child in children:
        child.start()
    answers = [told.get() for _ in chosen]
    for child in children:
        child.join()
    late = [what for what, wrong in answers if wrong == "not cut"]
    print(f"\n{rounds} rounds, {rounds - len(late)} of them cut while the run was at work")
    return [f"{what}: {wrong}" for what, wrong in answers if wrong and wrong != "not cut"]


@pytest.mark.proof
def test_a_line_cut_at_some_random_moments_leaves_no_site_in_between(tmp_path):
    assert all_rounds(tmp_path, 6, (1.0, 1.0, None)) == []


@pytest.mark.soak
def test_a_line_cut_at_any_random_moment_for_any_time_leaves_no_site_in_between(tmp_path):
    rounds = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "50"))

    assert all_rounds(tmp_path, rounds, SECONDS) == []
