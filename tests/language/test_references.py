"""What is read without the template engine comes to what the engine would make of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.core.errors import InvalidInput
from opsplay.core.playbook import Place
from opsplay.language import references, sandbox, templates

AT = Place("book.yaml", 3, 5)
SCOPE = {
    "site": {"name": "bakery", "tags": ["a"], "url": "", "empty": None, "items": "i", "in": "x"},
    "port": 8080,
    "text": "{{ site.name }}",
    "deep": {"er": {"est": "down"}},
}
NAMED = ["site.name", "port", "text", "deep.er.est", "deep.er", "site.items", "site.missing", "missing",
         "site.in", "none", "self", "site.name | upper", "site['name']", "1", "site.tags", "-site.name",
         "site.name -", "site . name", "", "é", "deep._er", "loop", "site.empty", "site.url"]  # fmt: skip
PIECES = st.one_of(
    st.sampled_from([f"{{{{ {name} }}}}" for name in NAMED]),
    st.sampled_from(
        ["{{site.name}}", "{", "}", "{{", "}}", "{#", "#}", "%}", "\n", "\r\n", " ", "\\"]
    ),
    st.text(max_size=5),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=5))
def test_both_ways_come_to_the_same(pieces: list[str]):
    text = "".join(pieces)

    found, needed = references.value(text, SCOPE), references.names(text)

    if needed is not None:
        assert needed == sandbox.names(text, AT)
    if found is not None:
        assert found == sandbox.value(text, SCOPE, AT)
        assert type(found) is str


@pytest.mark.parametrize(
    "text", ["{{ site.name }}", "a {{site.name}}-{{ deep.er.est }}\n", "no", ""]
)
def test_plain_names_need_no_engine(text: str):
    assert references.value(text, SCOPE) is not None


@pytest.mark.parametrize(
    "name", ["port", "site.tags", "missing", "site.missing", "site.items", "self"]
)
def test_what_is_no_text_of_ours_is_left_to_the_engine(name: str):
    assert references.value(f"{{{{ {name} }}}}", SCOPE) is None


def test_what_is_missing_is_still_explained():
    with pytest.raises(InvalidInput, match="'tag' is not defined; did you mean 'tags'"):
        templates.render("{{ site.tag }}", SCOPE, AT)


def test_the_engine_is_not_imported_for_plain_names():
    code = (
        "import sys; from opsplay.language import templates; from opsplay.core.playbook import Place;"
        "at = Place('x', 1, 1); templates.names('{{ a.b }}', at);"
        "print(templates.render('<{{ a.b }}>', {'a': {'b': 'c'}}, at), 'jinja2' in sys.modules)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert ended.stdout == "<c> False\n"
