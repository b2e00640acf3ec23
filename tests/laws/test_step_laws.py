"""What holds for every step kind on every driver, present and future."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator

import opsplay
from opsplay.app.workshop import load_kinds
from opsplay.core.action import Shell, Write, from_data, to_data
from opsplay.core.drivers import _DRIVERS, Facts, Module, Offer
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import OpsplayError
from opsplay.core.playbook import Declaration
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.core.step import KINDS
from opsplay.kit.secret import Secret
from opsplay.language import build_step, drifted, playbook_from_text
from opsplay.language.files import repository
from opsplay.language.schema import step_schema, yaml_name
from opsplay.steps.file import SeenFile

load_kinds()
KIND_NAMES = sorted(name for name, cls in KINDS.items() if cls.__module__.startswith("opsplay."))
DRIVERS = sorted(name for name, cls in _DRIVERS.items() if cls.__module__.startswith("opsplay."))
SCHEMA = json.loads((repository() / "schemas/playbook.schema.json").read_text())

OFFERS = (Offer("6.5.5", "https://source.example/6.5.5.zip", "major"),)
GLUE = Module("glue", "1.0", offer=Offer("1.1", "https://source.example/glue.zip"))
SEEN = {
    type(None): None,
    bool: False,
    SeenFile: SeenFile(None),
    Facts: Facts("6.4.5", "1", "1", (GLUE,), OFFERS),
}
"""What each type of probe may have seen; a new type needs an example here."""


def site(driver, environment="production"):
    places = {
        name: Environment(name, Host("local"), f"/srv/it's {name}", f"https://{name}.example")
        for name in ("production", "staging")
    }
    return Site("bakery", driver, places, vault="offsite", looking_at=environment)


def examples(kind):
    """Yield settings of a kind: what it needs, and each example of each setting with that."""
    cls = KINDS[kind]
    needed = {
        yaml_name(one): plain(one.metadata["examples"][0])
        for one in fields(cls)
        if one.default is MISSING and one.default_factory is MISSING
    }
    yield needed
    for one in fields(cls):
        for example in one.metadata["examples"]:
            yield needed | {yaml_name(one): plain(example)}
    yield {yaml_name(one): plain(one.metadata["examples"][-1]) for one in fields(cls)}


def plain(value):
    return json.loads(json.dumps(value))


def examples_of(kind):
    return next(iter(examples(kind)))


def seen(step):
    parents = [base for cls in type(step).__mro__ for base in getattr(cls, "__orig_bases__", ())]
    kinds = [get_args(base)[0] for base in parents if get_args(base)]
    return SEEN[kinds[0]]


def planned(step, where):
    """Return the changes; a step that cannot plan must say that nothing was changed."""
    try:
        return list(step.plan(where, seen(step)))
    except OpsplayError as error:
        if "nothing was changed" not in error.state:
            raise
        return []


def builds(kind, settings):
    return build_step(Declaration(kind, settings), {})


EVERYWHERE = [(kind, driver) for kind in KIND_NAMES for driver in DRIVERS]
every_kind = pytest.mark.parametrize("kind", KIND_NAMES)
everywhere = pytest.mark.parametrize(("kind", "driver"), EVERYWHERE)


def test_there_are_kinds_and_drivers_to_hold_to_the_laws():
    assert len(KIND_NAMES) >= 9
    assert "wordpress" in DRIVERS


def test_the_committed_schema_is_the_declared_one(monkeypatch):
    for name in set(_DRIVERS) - set(DRIVERS):  # other tests' drivers are in no schema
        monkeypatch.delitem(_DRIVERS, name)

    assert drifted(repository()) == ()


@every_kind
def test_every_setting_says_what_it_is_and_shows_it(kind):
    assert len((KINDS[kind].__doc__ or "").strip()) > 20
    for one in fields(KINDS[kind]):
        assert one.metadata["description"].strip().endswith((".", ";", ":")), one.name
        assert one.metadata["examples"], one.name


@every_kind
def test_model_to_text_to_model_is_the_same(kind):
    for settings in examples(kind):
        step = builds(kind, settings)
        rehearse = {
            "name": "Before",
            "environment": "staging",
            "steps": [{kind: examples_of(kind)}],
        }
        stage = {"name": "Law", "steps": [{kind: written(step)}]}
        text = json.dumps({"name": "Law", "stages": [rehearse, stage]})

        assert list(Draft202012Validator(SCHEMA).iter_errors(json.loads(text))) == []
        (declaration,) = playbook_from_text(text, "law.yaml").stages[1].steps
        assert build_step(declaration, {}) == step


def written(value):
    match value:
        case Secret():
            return {"secret": value.reference}
        case tuple() | list():
            return [written(item) for item in value]
        case dict():
            return {key: written(item) for key, item in value.items()}
        case str() | int() | float() | None:
            return value
        case _ if hasattr(value, "items"):
            return {key: written(item) for key, item in value.items()}
        case _:
            return {yaml_name(one): written(getattr(value, one.name)) for one in fields(value)}


@everywhere
def test_every_example_validates_and_plans_on_every_driver(kind, driver):
    changes = []
    for settings in examples(kind):
        assert list(Draft202012Validator(step_schema(KINDS[kind])).iter_errors(settings)) == []
        for environment in ("production", "staging"):
            changes += planned(builds(kind, settings), site(driver, environment))

    assert changes
    for change in changes:
        assert change.what
        assert "\n" not in change.what


@everywhere
def test_a_plan_is_made_of_its_input_alone(kind, driver):
    for settings in examples(kind):
        step, where = builds(kind, settings), site(driver, "staging")

        assert planned(step, where) == planned(step, where)
        assert step.probe(where).asked == step.probe(where).asked


@everywhere
def test_what_is_planned_can_be_journalled_and_its_way_back_found_there(kind, driver):
    for settings in examples(kind):
        for change in planned(builds(kind, settings), site(driver, "staging")):
            journalled = json.loads(json.dumps(to_data(change.do)))
            if not journalled.get("secrets"):
                assert from_data(journalled) == change.do
            if change.undo is not None:
                assert from_data(json.loads(json.dumps(to_data(change.undo)))) == change.undo


@everywhere
def test_every_kind_says_what_becomes_of_an_act_whose_end_nobody_saw(kind, driver):
    for settings in examples(kind):
        step = builds(kind, settings)

        assert step.when_unknown in {"rerun", "probe", "ask"}
        assert (step.when_unknown == "probe") == bool(step.convergent)
        # A script is no act that may be done twice just because somebody hopes so.
        scripts = [c for c in planned(step, site(driver)) if isinstance(c.do, Shell | Write)]
        assert not scripts or step.when_unknown in {"probe", "ask"}


_WATCHED = {"on": False, "seen": []}
_OURS = (str(Path(opsplay.__file__).parent), sys.prefix, sys.base_prefix)
_OUTSIDE = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "sqlite3.",
            "shutil.", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "tempfile.",
            "urllib.", "os.putenv")  # fmt: skip


def _watch(event, arguments):
    if not _WATCHED["on"]:
        return
    if event == "open":
        path, mode = str(arguments[0]), str(arguments[1] or "r")
        if not (path.startswith(_OURS) and not set(mode) & set("wax+")):
            _WATCHED["seen"].append((event, path))
    elif event.startswith(_OUTSIDE):
        _WATCHED["seen"].append((event, arguments))


sys.addaudithook(_watch)


@contextmanager
def nothing_outside() -> Iterator[None]:
    """Insist that nobody opens files (but our own to read), sockets or processes meanwhile."""
    _WATCHED.update(on=True, seen=[])
    try:
        yield
    finally:
        _WATCHED["on"] = False
    assert _WATCHED["seen"] == []


def test_the_watch_sees_what_it_should(tmp_path):
    with pytest.raises(AssertionError), nothing_outside():
        (tmp_path / "x").write_text("x")
    with pytest.raises(AssertionError), nothing_outside():
        Path("/etc/hostname").read_bytes()


@everywhere
def test_steps_do_nothing_but_think(kind, driver):
    settings = list(examples(kind))
    steps = [builds(kind, one) for one in settings]

    with nothing_outside():
        for step in steps:
            for environment in ("production", "staging"):
                where = site(driver, environment)
                step.probe(where)
                planned(step, where)
                step.forecast(step)
                step.rehearsed([])
                step.copies_from()


WORD = 'it\'s $(touch escaped) "q"'


def said_by(cms):
    """Yield every script that a driver can be asked for."""
    for query in ("facts", "maintenance", "clone_marks", "error_log"):
        yield query, getattr(cms, query)().script
    for method in ("open_to_visitors", "save_restore_point", "put_back", "put_back_core",
                   "dump_database", "load_database", "pack_files", "unpack_files"):  # fmt: skip
        yield method, getattr(cms, method)()
    yield "update_core", cms.update_core("6.5.5", WORD)
    yield "update_module", cms.update_module("glue", "1.1", WORD)
    yield "put_back_module", cms.put_back_module("glue")
    yield "close_to_visitors", cms.close_to_visitors("0" * 64)
    yield "make_clone_safe", cms.make_clone_safe(f"https://{WORD}.example")
    yield "exclude", cms.pack_files([WORD])
    yield "keep", cms.unpack_files(keep_configuration=True)


@pytest.mark.parametrize("driver", DRIVERS)
def test_drivers_do_nothing_but_write_scripts(driver):
    with nothing_outside():
        cms = site(driver).cms
        first = dict(said_by(cms))

    assert all(first.values())
    assert dict(said_by(cms)) == first


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "nonsense", ["", "sudo: a password is required", "\x00\xff", "{}", "0\n" * 9]
)
def test_drivers_believe_no_nonsense(driver, nonsense):
    cms = site(driver).cms
    with pytest.raises(OpsplayError):
        cms.facts().read(Answer(0, nonsense))
    with pytest.raises(OpsplayError):
        cms.facts().read(Answer(1, nonsense))
    for query in (cms.maintenance(), cms.clone_marks()):
        with pytest.raises(OpsplayError):
            query.read(Answer(0, f"{nonsense}?"))
