"""Every script that the engine writes is POSIX sh, whatever words stand in it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.laws.test_step_laws import DRIVERS, EVERYWHERE, builds, examples, planned, said_by

from opsplay.core.action import Clone, Shell, Write
from opsplay.core.environment import Environment, Host
from opsplay.core.site import Site
from opsplay.engine.acts import write_script
from opsplay.engine.clone import _packed, _unpacked, local_script
from opsplay.engine.job import kill_script, start_script, watch_script
from opsplay.engine.lock import free_script, take_script
from opsplay.engine.probe import bundle
from opsplay.steps.file import _LOOK

pytestmark = pytest.mark.real

ODD = 'it\'s $(touch escaped) `touch escaped` "q" \\ ;|&\nnew line é'
HERE = f"cat <<'END'\n{ODD}\nEND\n"
BATCH = [(_LOOK, (ODD, "", "", "0")), (_LOOK, (f"{ODD}2", "", "", "0"))]
RUN = ODD.replace("\n", " ")
NOW = datetime(2026, 11, 22, 5, 31, tzinfo=UTC)


def site(driver="paper-test-cms", root=f"/srv/{ODD}"):
    places = {
        name: Environment(name, Host("local"), f"{root}/{name}", f"https://{name}.example")
        for name in ("production", "staging")
    }
    return Site(ODD, driver, places)


def engine_scripts(root=f"/srv/{ODD}"):
    here = site(root=root)
    return {
        "start": start_script(ODD, f"run/{ODD}"),
        "watch": watch_script(ODD, f"run/{ODD}"),
        "kill": kill_script(ODD),
        "take": take_script(here, RUN, NOW),
        "free": free_script(here, RUN),
        "clone": local_script(here, here.at("staging")),
        "send": _packed("cat /dev/null"),
        "receive": _unpacked("cat >/dev/null"),
        "write": write_script(Write(f"{root}/{ODD}", ODD)),
        "bundle": bundle([(one, ()) for one in ("echo one", HERE, "echo 'open")] + BATCH)[0],
        "look at files": _LOOK,
    }


NAMES = ("start", "watch", "kill", "take", "free", "clone", "send", "receive", "write", "bundle",
         "look at files")  # fmt: skip


def test_no_script_of_the_engine_is_forgotten():
    assert tuple(engine_scripts()) == NAMES


def checked(script, shell="dash"):
    words = [shell, "sh", "-n"] if shell == "busybox" else [shell, "-n"]
    done = subprocess.run(words, input=script.encode(), capture_output=True, check=False)
    return done.stderr.decode()


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
@pytest.mark.parametrize("name", NAMES)
def test_every_script_of_the_engine_is_sh(name, shell):
    assert checked(engine_scripts()[name], shell) == ""


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_script_of_every_driver_is_sh(driver):
    problems = {name: checked(script) for name, script in said_by(site(driver).cms)}

    assert {name: problem for name, problem in problems.items() if problem} == {}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_copy_made_by_any_driver_is_sh(driver):
    here = site(driver)

    assert checked(local_script(here, here.at("staging"))) == ""


@pytest.mark.parametrize(("kind", "driver"), EVERYWHERE)
def test_every_script_of_every_step_is_sh(kind, driver):
    scripts = set()
    for settings in examples(kind):
        step, where = builds(kind, settings), site(driver).at("staging")
        scripts.add(step.probe(where).script)
        for change in planned(step, where):
            scripts |= {script_of(one) for one in (change.do, change.undo)}

    assert {checked(script) for script in scripts} == {""}


def script_of(action):
    match action:
        case Shell():
            return action.script
        case Write():
            return write_script(action)
        case Clone():
            return action.finish
        case _:
            return ""


def test_shellcheck_finds_nothing(tmp_path):
    files = []
    for name, script in engine_scripts("/srv/shop").items():
        files.append(tmp_path / f"{name}.sh")
        files[-1].write_text(script)
    meant = (
        "SC2016",  # a job's own shell expands them
        "SC2086",  # the starter may be two words one day
        "SC2089", "SC2090", "SC2209",  # odd words are data; `nohup` is a word
        "SC2034", "SC2154",  # variables of another part of the script
        "SC2317", "SC2329",  # functions that this part does not call
        "SC1003", "SC2129", "SC2015",  # odd words of these tests; A && B || C is meant
    )  # fmt: skip
    shellcheck = Path(sys.executable).with_name("shellcheck")

    done = subprocess.run(
        [shellcheck, "--shell=sh", f"--exclude={','.join(meant)}", "--format=gcc",
         "--severity=warning", *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout == ""


@pytest.mark.parametrize("name", NAMES[1:])
def test_no_word_escapes_its_quotes(tmp_path, name):
    script = engine_scripts(str(tmp_path / ODD))[name]

    subprocess.run(
        ["dash", "-c", script],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30, cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip

    assert not list(tmp_path.rglob("escaped"))
