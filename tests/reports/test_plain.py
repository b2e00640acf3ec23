"""In a pipe everything reads as on a screen without colours, and needs no terminal library."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.reports.events import good_run, rolled_back_run

from opsplay.reports.ink import Ink
from opsplay.reports.live import LiveView
from opsplay.reports.plain import PlainView
from opsplay.reports.story import tell
from opsplay.reports.summary import summary

PIECES = st.lists(
    st.tuples(
        st.text("ab é\t\n\r\a\b\f\v[bold]✓", max_size=8), st.sampled_from(["", "bold", "red"])
    ),
    max_size=5,
)


def shown(what):
    console = Console(file=StringIO(), width=200, highlight=False)
    console.print(what, soft_wrap=True)
    return console.file.getvalue()


@pytest.mark.parametrize("run", [good_run, rolled_back_run])
def test_a_pipe_gets_the_lines_that_rich_would_print(run):
    lines: list[str] = []
    plain = PlainView(lines.append)
    console = Console(file=StringIO(), width=200, highlight=False)
    live = LiveView(console)

    for event in run():
        plain.heard(event)
        live.heard(event)

    assert "".join(f"{line}\n" for line in lines) == console.file.getvalue()
    assert summary(tell(run())).plain + "\n" == shown(summary(tell(run())))


@given(PIECES)
def test_a_text_is_the_same_with_and_without_rich(pieces):
    text = Ink()
    for piece, style in pieces:
        text.append(piece, style)

    assert text.plain + "\n" == shown(text)
    assert str(text) == text.plain


@given(PIECES)
def test_the_end_is_stripped_whatever_pieces_it_is_made_of(pieces):
    text = Ink()
    for piece, style in pieces:
        text.append(Ink(piece, style))

    assert (
        "".join(word for word, _ in text.rstrip().pieces) == "".join(p for p, _ in pieces).rstrip()
    )


def test_what_is_said_besides_is_a_line_too():
    lines: list[str] = []

    PlainView(lines.append).say("stopping")

    assert lines == ["stopping"]


def test_plain_lines_need_no_rich():
    code = (
        "import sys; import opsplay.reports.plain, opsplay.reports.summary; "
        "print([m for m in sys.modules if m.partition('.')[0] == 'rich'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
