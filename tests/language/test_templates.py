"""Templates: typed, strict, and harmless."""

from __future__ import annotations

import pytest

from opsplay.core.errors import InvalidInput
from opsplay.core.playbook import Place
from opsplay.language import build, templates
from opsplay.language.scopes import scope

HERE = Place("x.yaml", 3, 7)
SCOPE = {"n": 3, "words": ["a", "b"], "version": "8.10", "site": {"name": "bakery", "tags": ["x"]}}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain", "plain"),
        ("{{ n }}", 3),
        ("{{ words }}", ["a", "b"]),
        ("{{ version }}", "8.10"),
        ("v{{ version }}", "v8.10"),
        ("{{ n }}{{ n }}", "33"),
        ("{{ site.name == 'bakery' }}", True),
        ("{{ words | join('-') }}", "a-b"),
        ("{% if n > 2 %}many{% endif %}", "many"),
        ("{{ '}}' }}", "}}"),
        ("{{- n -}}", 3),
        ("{{ nothing | default('x') }}", "x"),
        ("{{ 2 * 3 }}", 6),
        ("{{ 'ab' * 2 }}", "abab"),
    ],
)
def test_a_lone_expression_keeps_its_type(written, value):
    assert templates.render(written, SCOPE, HERE) == value


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{{ nothing }}", "'nothing' is not defined"),
        ("{{ site.nme }}", "did you mean 'name'"),
        ("{{ ''.__class__ }}", "may not"),
        ("{{ words.append(1) }}", "may not"),
        ("{{ 'a' * 100000 }}", "too large"),
        ("{{ 2 ** 100000 }}", "too large"),
        ("{{ n / 0 }}", "division by zero"),
        ("{{ n + 'x' }}", "cannot be computed"),
        ("{{ range(10) }}", "'range' is not defined"),
        ("{{ " + "(" * 500, "cannot be"),
        ("{{ n", "not closed"),
        ("{% if %}x{% endif %}", "cannot be read"),
        ("{% include 'x' %}", "cannot be computed"),
    ],
)
def test_a_template_that_fails_says_where_and_why(written, words):
    with pytest.raises(InvalidInput) as caught:
        templates.render(written, SCOPE, HERE)

    assert str(caught.value).startswith("x.yaml:3:7: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("", True),
        ("n == 3", True),
        ("{{ n == 4 }}", False),
        ("'x' in site.tags", True),
        ("False", False),
        ("words", True),
        ("not words", False),
    ],
)
def test_a_condition_is_a_bare_expression(when, holds):
    assert build.is_true(when, SCOPE) is holds


def test_a_condition_on_something_unknown_is_an_error():
    with pytest.raises(InvalidInput, match="'nothing' is not defined"):
        build.is_true("nothing", SCOPE)


def test_what_a_host_answered_is_never_a_template(bakery, playbook):
    answer = {"stdout": "{{ site.name }}"}

    known = scope(playbook, bakery, {"seen": answer})

    assert templates.render("{{ seen.stdout }}", known, HERE) == "{{ site.name }}"
