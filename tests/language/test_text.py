"""YAML 1.2 with positions: what is read, and what is refused in plain words."""

from __future__ import annotations

import pytest

from opsplay.core.errors import InvalidInput
from opsplay.core.playbook import Place
from opsplay.language import text
from opsplay.language.nodes import find, place_of_key, plain

TRAPS = {
    "on": "on", "off": "off", "yes": "yes", "no": "no", "y": "y", "n": "n", "Yes": "Yes",
    "22:22": "22:22", "1:20:30": "1:20:30", "010": "010", "0o10": "0o10", "0x1F": "0x1F",
    "0b11": "0b11", "1_000": "1_000", "8.10": "8.10", "1.0": "1.0", "6.5.5": "6.5.5",
    "1e3": "1e3", ".5": ".5", ".inf": ".inf", ".nan": ".nan", "+5": "+5",
    "2026-11-22": "2026-11-22", "2026-11-22 10:00:00": "2026-11-22 10:00:00", "=": "=",
    "NO": "NO", "tRue": "tRue", "'true'": "true", '"7"': "7", "'~'": "~",
    "true": True, "True": True, "FALSE": False, "null": None, "~": None, "": None,
    "7": 7, "-3": -3, "0": 0, "1234567890123456789012": "1234567890123456789012",
}  # fmt: skip

REFUSED = {
    "a: 1\nb: 2\na: 3\n": (3, 1, "written twice"),
    "a:\n  - b\n c: 1\n": (3, 2, "indentation"),
    "a:\n\tb: 1\n": (2, 1, "tab"),
    "a: [1, 2\nb: 3\n": (1, 4, "not closed"),
    "a: {b: 1\nc: [2]\n": (1, 4, "not closed"),
    "a: 'x\n": (1, 4, "quote"),
    'a: "\\d"\n': (1, 5, "backslash"),
    "a: b: c\n": (1, 5, "':'"),
    "a: @home\n": (1, 4, "'@'"),
    "a: `x`\n": (1, 4, "'`'"),
    "a: !secret x\n": (1, 4, "'!secret'"),
    "a: !!int x\n": (1, 4, "'!!int'"),
    "a: *x\n": (1, 4, "not above"),
    "a: &x [*x]\n": (1, 8, "not above"),
    "a: *\n": (1, 5, "'*'"),
    "<<: {a: 1}\n": (1, 1, "<<"),
    "a: 1\n---\nb: 2\n": (2, 1, "second document"),
    "%YAML 3.0\n---\na: 1\n": (1, 1, "YAML 1.2"),
    "? [a]\n: 1\n": (1, 3, "list cannot be a key"),
    "'': 1\n": (1, 1, "no key"),
    "a: {{ b }}\n": (1, 4, "quotes"),
    "a: x\x00y\n": (1, 5, "U+0000"),
    "a: - b\n": (1, 4, "list item"),
    "just words\n": (1, 1, "single value"),
    "[]\n": (1, 1, "a list"),
    "# only a comment\n": (1, 1, "empty"),
    "a: " + "[" * 60 + "\n": (1, 44, "levels"),
    "a\nb: 1\n": (2, 2, "':'"),
}


@pytest.mark.parametrize(("written", "meant"), TRAPS.items())
def test_a_plain_value_means_what_is_written(written, meant):
    value = plain(text.load(f"key: {written}\n"))["key"]

    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize("key", ["on", "yes", "8.10", "null", "010", "true", "7"])
def test_a_key_is_always_the_text_that_is_written(key):
    assert plain(text.load(f"{key}: x\n")) == {key: "x"}


@pytest.mark.parametrize(("written", "answer"), REFUSED.items())
def test_a_broken_text_is_explained_where_it_breaks(written, answer):
    line, column, words = answer

    document = text.parse(written, "x.yaml")

    first = min(document.problems, key=lambda one: (one.line, one.column))
    assert (first.line, first.column) == (line, column), first
    assert words in first.cause


def test_every_value_knows_its_place():
    root = text.load("a: 1\nlist:\n  - x\n  - {deep: 'é', more: 2}\n", "x.yaml")

    assert find(root, ("list", 1, "more")).place == Place("x.yaml", 4, 23)
    assert place_of_key(root, ("list", 1, "more")) == Place("x.yaml", 4, 17)
    assert place_of_key(root, ("list", 0)) == Place("x.yaml", 3, 5)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: Bakery\r\nlist:\r\n  - 1\r\n")

    root = text.load(text.read_text(file))

    assert plain(root) == {"name": "Bakery", "list": [1]}
    assert root.keys["name"].column == 1
    assert root.keys["list"].line == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name: \xe9t\xe9\n", "0xe9"),
        ("name: x".encode("utf-16"), "UTF-16"),
        (b"a: 1\n" * 300_000, "1.5 MB"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, data, words):
    file = tmp_path / "x.yaml"
    file.write_bytes(data)

    with pytest.raises(InvalidInput, match=words):
        text.read_text(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nothing\.yaml:1:1: the file cannot be read: no such"):
        text.read_text(tmp_path / "nothing.yaml")


def test_a_huge_text_is_refused_before_it_is_parsed():
    assert "MB" in text.parse("x" * 2_000_000).problems[0].cause


def test_an_alias_repeats_a_value():
    root = text.load("a: &x {b: [1, 2]}\nc: *x\n")

    assert plain(root)["c"] == {"b": [1, 2]}


def test_many_small_values_are_too_many():
    document = text.parse("a: [" + "1," * 60_000 + "]")

    assert document.root is None
    assert "50000 values" in document.problems[0].cause
