"""No word escapes its quotes, in a real shell."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opsplay.kit import shell

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def said(script: str) -> list[str]:
    done = subprocess.run(["/bin/sh", "-c", script.encode()], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@settings(max_examples=60, deadline=None)
@given(st.lists(WORD, min_size=1, max_size=8))
@example(["", "-n", "--", "a b", "it's", "$(id)", "`id`", "a\nb\n", "\\", "~", "*", "=x", "é☃"])
def test_every_word_arrives_as_it_is(words: list[str]):
    assert said(shell.command("printf", "%s\\0", "first", *words)) == ["first", *words]


@settings(max_examples=30, deadline=None)
@given(WORD)
@example("~/x:~/y")
def test_an_assigned_value_arrives_as_it_is(value: str):
    script = shell.assign("word", value) + "\nprintf '%s\\0' \"$word\""

    assert said(script) == [value]


@pytest.mark.parametrize("word", ["=command", "~user", "#no", "!x", "a=b c", "{a,b}", "[a]"])
def test_a_word_that_means_something_to_some_shell_is_quoted(word: str):
    assert shell.quote(word) == f"'{word}'"


@pytest.mark.parametrize("word", ["/var/www/html", "user@host", "a=b", "1.2.3", "50%"])
def test_plain_words_stay_readable(word: str):
    assert shell.quote(word) == word


def test_a_nul_byte_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        shell.quote("a\0b")
