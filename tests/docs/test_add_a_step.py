"""The step that docs/add-a-step.md teaches is executed as it stands there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.docs import pages

from opsplay.core.action import Shell
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import InvalidInput, UnreadableAnswer
from opsplay.core.playbook import Declaration
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.core.step import KINDS, Step
from opsplay.kit.shell import assign
from opsplay.language import build_step
from opsplay.transports.local import LocalTransport

SAMPLES = pages.samples(pages.text_of("docs/add-a-step.md"))
Build = Callable[..., Step[Any]]


@pytest.fixture
def build() -> Iterator[Build]:
    """The sample as a module, known by its kind as long as the test lasts."""
    module = ModuleType("sample_step")
    sys.modules[module.__name__] = module
    exec(compile(SAMPLES["remove_file.py"], "docs/add-a-step.md", "exec"), vars(module))  # noqa: S102
    try:
        yield lambda **settings: build_step(Declaration("remove_file", settings), {})
    finally:
        del KINDS["remove_file"], sys.modules[module.__name__]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = tmp_path / "a site's root"
    root.mkdir()
    here = Environment("production", Host("local"), str(root), "https://bakery.example")
    return Site("bakery", "wordpress", {"production": here})


def run(script: str, run_directory: Path | None = None) -> Answer:
    known = f"{assign('OPSPLAY_RUN_DIR', str(run_directory))}\n" if run_directory else ""
    transport = LocalTransport(Host("local"))
    try:
        return transport.run(known + script)
    finally:
        transport.close()


def look(step: Step[Any], site: Site) -> list[Any]:
    query = step.probe(site)
    return list(step.plan(site, query.read(run(query.script))))


def test_what_the_page_teaches_works(build: Build, site: Site, tmp_path: Path) -> None:
    step, kept = build(path="docs/read me.html"), tmp_path / "run"
    file = Path(site.here.root, "docs/read me.html")
    file.parent.mkdir()
    file.write_text("version 6.5")

    (change,) = look(step, site)
    assert (change.before, change.after) == ("there", "removed")
    assert isinstance(change.do, Shell)
    assert isinstance(change.undo, Shell)

    for _attempt in range(2):
        assert run(change.do.script, kept).ok
        assert not file.exists()
        assert look(step, site) == []
    for _attempt in range(2):
        assert run(change.undo.script, kept).ok
        assert file.read_text() == "version 6.5"


def test_looking_changes_nothing_and_does_not_guess(build: Build, site: Site) -> None:
    Path(site.here.root, "uploads").mkdir()

    with pytest.raises(UnreadableAnswer):
        look(build(path="uploads"), site)
    assert [path.name for path in Path(site.here.root).iterdir()] == ["uploads"]


def test_its_settings_are_checked(build: Build) -> None:
    with pytest.raises(InvalidInput):
        build(path="/etc/passwd")
    with pytest.raises(InvalidInput):
        build()


@pytest.mark.parametrize("name", ["there.yaml", "absent.yaml"])
def test_its_cases_say_what_is_planned(build: Build, site: Site, name: str) -> None:
    case = yaml.load(SAMPLES[name], Loader=yaml.CSafeLoader)

    planned = list(build(**case["settings"]).plan(site, case["seen"]))

    assert len(planned) == len(case["changes"])
    for change, expected in zip(planned, case["changes"], strict=True):
        assert {key: getattr(change, key) for key in expected} == expected
