"""What the golden cases cannot say: questions, scripts that really run, and what kinds promise."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.steps.test_cases import site

from opsplay.core.environment import Environment, Host
from opsplay.core.query import Answer, Asked, Query
from opsplay.core.site import Site
from opsplay.core.step import KINDS
from opsplay.engine.probe import bundle, unbundle
from opsplay.kit.secret import Secret
from opsplay.steps.cms_update import CmsUpdate, RehearsedCmsUpdate
from opsplay.steps.command import Command, Variable
from opsplay.steps.module_update import ModuleUpdate
from opsplay.steps.smoke_test import SmokeTest
from opsplay.steps.staging_clone import StagingClone


def at(root: Path) -> Site:
    here = Environment("production", Host("local"), str(root), "http://shop.example")
    return Site("bakery", "spelled-test-cms", {"production": here})


def asked(query: Query):
    (answer,) = told([query.asked])
    return query.read(answer)


def told(questions: Sequence[Asked], shell: Sequence[str] = ("sh",)) -> tuple[Answer, ...]:
    script, mark = bundle(questions)
    done = subprocess.run([*shell, "-c", script], capture_output=True, text=True, check=False)
    return unbundle(Answer(done.returncode, done.stdout, done.stderr), mark, len(questions))


def test_unless_is_asked_in_the_root_and_believed_by_its_status(tmp_path: Path):
    step = Command(run="touch done", unless="test -e done")
    assert not asked(step.probe(at(tmp_path)))

    (tmp_path / "done").touch()

    assert asked(step.probe(at(tmp_path)))


def test_a_command_is_verified_only_where_it_can_be():
    assert Command(run="x", unless="y").convergent
    assert not Command(run="x").convergent
    assert Command(run="x").probe(site("staging")).read(Answer(0)) is False


def test_secrets_of_a_command_stay_references():
    token = Secret("env:TOKEN", lambda _reference: "s3cret")
    (change,) = Command(run="x", secrets=(Variable("TOKEN", token),)).plan(site("staging"), False)

    assert change.do.secrets == {"TOKEN": token}
    assert "s3cret" not in repr(change)


def test_updates_ask_one_and_the_same_question():
    here = site("staging")

    assert CmsUpdate().probe(here).script == ModuleUpdate().probe(here).script == "facts"


def test_what_each_kind_promises():
    promises = {name: (cls.convergent, cls.observes) for name, cls in KINDS.items()}

    for kind in ("smoke_test", "restore_drill", "verify_backups"):
        assert promises[kind] == (False, True)
    for kind in ("backup", "staging_clone", "rollback", "expire_backups"):
        assert promises[kind] == (False, False)
    for kind in ("cms_update", "module_update", "file"):
        assert promises[kind] == (True, False)
    for kind in ("restore_drill", "verify_backups", "expire_backups"):
        assert not KINDS[kind].on_host, "it works where the host is gone"
    assert SmokeTest().probe(site("staging")).script == ""
    assert StagingClone().copies_from() == "production"


def test_what_was_rehearsed_is_still_a_cms_update():
    rehearsed = CmsUpdate(to="rehearsed").rehearsed([])

    assert isinstance(rehearsed, RehearsedCmsUpdate)
    assert rehearsed.kind == "cms_update"
    assert KINDS["cms_update"] is CmsUpdate
