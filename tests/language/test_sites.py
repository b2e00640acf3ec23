"""Patterns, limits, and whether a playbook fits its sites."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.language.conftest import PLAYBOOK, TEXTS

from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput
from opsplay.language import (
    build_step,
    check_together,
    inventory_from_texts,
    playbook_from_text,
    read_extra_vars,
    read_inventory,
    scope,
    select_sites,
)
from opsplay.language.inventory_model import host


@pytest.mark.parametrize(
    ("pattern", "limit", "names"),
    [
        ("all", "", ["bakery", "florist"]),
        ("tag:monthly", "", ["bakery"]),
        ("tag:*ly", "", ["bakery", "florist"]),
        ("florist, bakery", "", ["bakery", "florist"]),
        ("b*", "", ["bakery"]),
        ("!bakery", "", ["florist"]),
        ("all,!tag:weekly", "", ["bakery"]),
        ("all", "florist", ["florist"]),
        ("all", "!florist", ["bakery"]),
    ],
)
def test_a_pattern_means_these_sites(inventory, pattern, limit, names):
    assert [site.name for site in select_sites(inventory, pattern, limit)] == names


@pytest.mark.parametrize(
    ("pattern", "limit", "words"),
    [
        ("bakry", "", "did you mean 'bakery'"),
        ("tag:monthyl", "", "did you mean 'monthly'"),
        ("all,!*", "", "takes every site away"),
        ("bakery", "florist", "leaves none"),
        ("bakery", "florst", "did you mean 'florist'"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(inventory, pattern, limit, words):
    with pytest.raises(InvalidInput, match=words):
        select_sites(inventory, pattern, limit)


def test_an_empty_inventory_says_so():
    empty = inventory_from_texts({"v.yaml": "vaults: {here: {kind: memory}}\n"})

    with pytest.raises(InvalidInput, match="holds no site"):
        select_sites(empty, "all")


def test_a_playbook_that_fits_gives_its_sites(playbook, inventory):
    assert [site.name for site in check_together(playbook, inventory, "b*")] == ["bakery"]


def test_a_wrong_limit_is_not_blamed_on_the_playbook(playbook, inventory):
    with pytest.raises(InvalidInput) as caught:
        check_together(playbook, inventory, "bakry")

    assert caught.value.problems == ()


def test_a_step_is_built_from_playbook_site_and_command_line():
    extra = read_extra_vars(["word=cake"])
    known = scope(
        playbook_from_text(PLAYBOOK, "x", extra_vars=extra),
        inventory_from_texts(TEXTS, extra_vars=extra).sites["bakery"],
    )
    declaration = playbook_from_text(PLAYBOOK, "x").stages[0].steps[0]

    assert build_step(declaration, known).contains == ("cake",)


def test_a_site_variable_wins_over_the_playbooks(playbook):
    texts = dict(TEXTS)
    texts["inventory/bakery.yaml"] += "    vars: {word: rolls}\n"
    site = inventory_from_texts(texts).sites["bakery"]

    assert scope(playbook, site)["word"] == "rolls"


def test_a_step_behind_a_false_condition_needs_no_variables(inventory):
    text = PLAYBOOK + "        when: site.name == 'nobody'\n"

    assert check_together(playbook_from_text(text.replace("{{ word }}", "{{ no }}"), ""), inventory)


def test_a_step_that_waits_for_a_result_is_built_later(inventory):
    text = (
        PLAYBOOK + "        register: seen\n      - smoke_test: {contains: ['{{ seen.title }}']}\n"
    )

    assert check_together(playbook_from_text(text, ""), inventory)


def test_a_stage_that_is_skipped_for_a_site_needs_no_environment(inventory):
    stage = "  - name: Drill\n    environment: drill\n    when: {}\n    steps: [smoke_test: ]\n"

    text = PLAYBOOK + stage.format("site.name == 'nobody'")

    assert check_together(playbook_from_text(text, ""), inventory)
    for when in ("true", "nothing == 1"):
        with pytest.raises(InvalidInput, match="which site bakery lacks"):
            check_together(playbook_from_text(PLAYBOOK + stage.format(when), ""), inventory)


def test_a_computed_rehearsal_needs_a_rehearsal_too(inventory):
    text = PLAYBOOK + "      - cms_update: {to: '{{ to }}'}\n"

    with pytest.raises(InvalidInput, match="7:26: no earlier stage on another environment"):
        check_together(playbook_from_text(text, "", extra_vars={"to": "rehearsed"}), inventory)
    with pytest.raises(InvalidInput, match="'to' is not defined"):
        check_together(playbook_from_text(text, ""), inventory)


def test_an_unknown_kind_cannot_be_built(playbook):
    with pytest.raises(InvalidInput, match="no step kind 'x'"):
        build_step(replace(playbook.stages[0].steps[0], kind="x", settings={}), {})


@pytest.mark.parametrize("item", ["word", "=x", "a b=c", "site=x"])
def test_extra_variables_have_the_form_name_value(item):
    with pytest.raises(InvalidInput, match="name=value"):
        read_extra_vars([item])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("web1", Host("web1")),
        ("me@web1:22", Host("web1", "me", 22)),
        ("[::1]:2222", Host("::1", "", 2222)),
        ("me@[fe80::1]", Host("fe80::1", "me")),
        ("local", Host("local")),
    ],
)
def test_a_host_is_user_name_and_port(written, meant):
    assert host(written) == meant


def test_an_inventory_reads_back_from_its_own_texts(tmp_path):
    (tmp_path / "inventory").mkdir()
    (tmp_path / "facts.yaml").write_text("root: /srv/lab\nconfig: ssh.conf\n")
    (tmp_path / "inventory" / "lab.yaml").write_text(
        "vars_files: [../facts.yaml]\nssh: {config: '{{ config }}'}\n"
        "sites: {lab: {cms: wordpress, environments: {production: "
        "{host: web1, root: '{{ root }}', url: 'http://localhost'}}}}\n"
    )
    (tmp_path / "inventory" / "ignored.yaml.sample").write_text("nonsense")

    first = read_inventory(tmp_path / "inventory")
    again = inventory_from_texts(first.texts, repository=tmp_path)

    assert again == first
    assert first.sites["lab"].here.root == "/srv/lab"
    assert first.sites["lab"].here.host.ssh_config == str(tmp_path / "inventory" / "ssh.conf")
    assert len(first.texts) == 2


def test_variables_beside_the_inventory_are_no_inventory(tmp_path):
    (tmp_path / "facts.yaml").write_text("root: /srv\n")
    (tmp_path / "lab.yaml").write_text("vars_files: [facts.yaml]\nvaults: {here: {kind: memory}}\n")

    assert list(read_inventory(tmp_path).vaults) == ["here"]


def test_a_directory_without_inventory_says_what_to_do(tmp_path):
    with pytest.raises(InvalidInput, match="invoke init"):
        read_inventory(tmp_path)


def test_an_inventory_file_that_is_no_text_is_among_the_mistakes(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "b.yaml").write_text("nonsense: 1\n")

    with pytest.raises(InvalidInput) as caught:
        read_inventory(tmp_path)

    assert {Path(one.file).name for one in caught.value.problems} == {"a.yaml", "b.yaml"}


def test_broken_variables_are_explained_in_their_own_file(tmp_path):
    (tmp_path / "facts.yaml").write_text("root: [\n")
    (tmp_path / "lab.yaml").write_text("vars_files: [facts.yaml]\nvaults: {here: {kind: memory}}\n")

    with pytest.raises(InvalidInput, match=r"facts.yaml:2:1: a value is missing"):
        read_inventory(tmp_path)
