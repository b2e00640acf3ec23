"""What the documentation says is so: names, numbers, files, commands. No lab is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from tests.docs import pages

from opsplay import steps
from opsplay.cli.program import spoken
from opsplay.cli.verbs import namespace
from opsplay.core.errors import ExitStatus
from opsplay.core.event import EventKind, State
from opsplay.core.step import KINDS
from opsplay.lab import packages

steps.load()
OURS = sorted(kind for kind, cls in KINDS.items() if cls.__module__.startswith("opsplay.steps."))
VERBS = {spoken(name): namespace[name] for name in namespace.task_names}
PLACES = ("src/", "tests/", "docs/", "playbooks/", "inventory/", "schemas/", ".ci/")
page = pytest.mark.parametrize("path", pages.WRITTEN, ids=pages.name_of)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_explained(verb: str) -> None:
    assert re.search(rf"`{re.escape(verb)}[` ]", pages.text_of("docs/operate.md"))


@pytest.mark.parametrize("kind", OURS)
def test_every_step_kind_is_in_the_readme_and_in_the_reference(kind: str) -> None:
    assert f"| `{kind}` |" in pages.text_of("README.md")
    assert f"\n## {kind}\n" in pages.text_of("docs/reference/steps.md")


@pytest.mark.parametrize("status", list(ExitStatus), ids=lambda status: status.name)
def test_every_exit_status_is_explained_in_the_programs_words(status: ExitStatus) -> None:
    row = f"| {int(status)} | {status.meaning} |"

    assert row in pages.text_of("README.md")
    assert row in pages.text_of("docs/operate.md")


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_every_event_of_the_journal_is_explained(kind: str) -> None:
    assert f"`{kind}`" in pages.text_of("docs/design.md")


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_explained(state: State) -> None:
    assert f"`{state}`" in pages.text_of("docs/glossary.md")


@page
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in pages.links(path.read_text()):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in pages.anchors(target.read_text()), f"{link}: no such heading"


@page
def test_every_file_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    to_be_written = {f"src/opsplay/steps/{name}" for name in pages.samples(text)}
    for span in pages.code_spans(text):
        if span.startswith(PLACES) and span not in to_be_written and " " not in span:
            assert (pages.REPOSITORY / span).exists(), f"{span} is not there"


def test_every_command_that_is_shown_is_one() -> None:
    shown = list(pages.commands())

    assert len(shown) > 40
    for command in shown:
        assert command.verb in VERBS, command
        known = {
            f"--{argument.name.strip('_').replace('_', '-')}"
            for argument in VERBS[command.verb].get_arguments()
        }
        assert {flag.partition("=")[0] for flag in command.flags} <= known, command


def test_the_two_commands_of_the_readme_are_those_that_guard_a_change() -> None:
    readme, guard = pages.text_of("README.md"), pages.text_of(".ci/run")

    assert "    .ci/setup && .venv/bin/invoke demo\n" in readme
    assert "    .ci/setup && .venv/bin/invoke test\n" in readme
    assert [line for line in guard.splitlines() if line == ".ci/setup"]
    assert [line for line in guard.splitlines() if line.startswith(".venv/bin/invoke test")]


def test_a_plain_user_is_told_every_package() -> None:
    told = set(pages.text_of("README.md").split())
    wanted = {*packages._PROGRAMS.values(), *packages._PHP_MODULES.values()}

    assert wanted | {"php-fpm", "npm", "python3-venv"} <= told


def test_the_playbook_of_the_readme_is_the_shipped_one_in_short() -> None:
    shown = re.search(r"```yaml\n(.*?)```", pages.text_of("README.md"), re.DOTALL)
    shipped = pages.text_of("playbooks/update.yaml")

    assert shown
    for line in shown[1].splitlines():
        wish = line.partition("#")[0].strip()
        plain = re.sub(r": (latest|\[Our bread\])", r": {{ }}", wish)
        assert plain in re.sub(r'"\{\{ \w+ \}\}"', "{{ }}", shipped), wish


def test_the_decisions_are_listed() -> None:
    records = {path.name for path in (pages.REPOSITORY / "docs/decisions").glob("0*.md")}

    assert records == set(pages.links(pages.text_of("docs/decisions/README.md")))


def test_the_changelog_is_about_this_version() -> None:
    import opsplay

    assert f"## [{opsplay.__version__.partition('.dev')[0]}]" in pages.text_of("CHANGELOG.md")


def test_the_picture_was_made_by_a_run_and_contacts_nobody() -> None:
    source = pages.text_of("docs/images/run.svg")
    words = "".join(ET.fromstring(source).itertext()).replace("\xa0", " ")  # noqa: S314 - ours

    for told in ("confirmed by the storage", "closed to visitors", "open to visitors again"):
        assert told in words
    assert "url(http" not in source
    assert "@import" not in source
    assert "/tmp/" not in source
