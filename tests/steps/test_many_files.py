"""Many files are looked at together, and each answer is what it would be alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.steps.test_steps import at, told

from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.engine.probe import bundle, unbundle
from opsplay.steps.command import Command
from opsplay.steps.file import File, SeenFile

NAMES = st.text("ab -_'\"\\$`*?[(é\n\t;&|#%", min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
KINDS = st.sampled_from(["as wished", "other text", "other mode", "empty", "absent", "directory",
                         "link", "dangling link", "link to a directory", "binary"])  # fmt: skip
TEXT = "as\nwished\n"


def put(root: Path, name: str, kind: str) -> None:
    path, beside = root / name, root.parent / "beside"
    path.unlink(missing_ok=True)
    match kind:
        case "as wished" | "other mode":
            path.write_text(TEXT)
            path.chmod(0o644 if kind == "as wished" else 0o600)
        case "other text" | "empty":
            path.write_text("other\n" if kind == "other text" else "")
        case "binary":
            path.write_bytes(b"\xff\x00\n")
        case "directory":
            path.mkdir(exist_ok=True)
        case "link":
            beside.write_text(TEXT)
            beside.chmod(0o644)
            path.symlink_to(beside)
        case "link to a directory":
            path.symlink_to(root.parent)
        case "dangling link":
            path.symlink_to("nowhere")
        case _:
            pass


def read(query, answer):
    try:
        return query.read(answer)
    except UnreadableAnswer as error:
        return str(error)


SHELLS = [["dash"], ["bash"], ["busybox", "sh"]]


@settings(max_examples=8, deadline=None)
@given(st.dictionaries(NAMES, KINDS, min_size=1, max_size=7), st.sampled_from(SHELLS))
def test_together_every_file_is_seen_as_alone(files, shell):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        for name, kind in files.items():
            put(root, name, kind)
        steps = [File(path=name, content=TEXT) for name in [*files, *files]]
        queries = [step.probe(at(root)) for step in steps]

        together = told([query.asked for query in queries], shell)

        alone = [told([query.asked], shell)[0] for query in queries]
        assert [read(*pair) for pair in zip(queries, together, strict=True)] == [
            read(*pair) for pair in zip(queries, alone, strict=True)
        ]
        for (name, kind), query, answer in zip(files.items(), queries, together, strict=False):
            seen = read(query, answer)
            if kind in {"as wished", "link"}:
                assert (answer.stdout, seen.sha256) == ("same\n", seen.sha256), name
            elif "directory" in kind:
                assert "it is a directory" in seen
            elif kind in {"absent", "dangling link"}:
                assert seen == SeenFile()
            else:
                assert seen.text == (root / name).read_bytes() or kind == "other mode"


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """Return a function that tells which tools were started since; they do what they do."""
    tools, log = tmp_path / "bin", tmp_path / "started"
    tools.mkdir()
    for tool in ("stat", "sha256sum", "wc", "base64"):
        script = f'#!/bin/sh\necho {tool} >>{log}\nexec {shutil.which(tool)} "$@"\n'
        (tools / tool).write_text(script)
        (tools / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return lambda: log.read_text().split() if log.exists() else []


def test_twenty_satisfied_steps_start_two_processes(tmp_path, counted):
    root = tmp_path / "root"
    root.mkdir()
    steps = []
    for number in range(10):
        (root / f"{number}.txt").write_text(TEXT)
        (root / f"{number}.txt").chmod(0o644)
        steps.append(File(path=f"{number}.txt", content=TEXT))
        steps.append(Command(run="exit 1", unless=f"test -e {number}.txt"))
    queries = [step.probe(at(root)) for step in steps]
    asked = sorted((query.asked for query in queries), key=lambda one: not one[1])

    answers = told(asked)

    assert sorted(counted()) == ["sha256sum", "stat"]
    assert [answer.stdout for answer in answers] == ["same\n"] * 10 + [""] * 10
    assert all(answer.ok for answer in answers)


def test_only_what_differs_is_told(tmp_path, counted):
    root = tmp_path / "root"
    root.mkdir()
    for name in ("same", "other"):
        (root / name).write_text(TEXT)
        (root / name).chmod(0o644)
    (root / "other").write_text("another text\n")

    answers = told([File(path=n, content=TEXT).probe(at(root)).asked for n in ("same", "other")])

    assert answers[0].stdout == "same\n"
    assert "YW5vdGhlciB0ZXh0Cg==" in answers[1].stdout
    assert sorted(counted()) == ["base64", "sha256sum", "stat", "wc"]


def test_a_secretive_file_tells_neither_text_nor_hash_of_the_wish(tmp_path):
    query = File(path=".env", content="KEY=1234").probe(at(tmp_path))
    (tmp_path / ".env").write_text("KEY=1234")
    (tmp_path / ".env").chmod(0o644)

    (answer,) = told([query.asked])

    assert query.words[1:] == ("", "", "-1")
    assert len(answer.stdout.splitlines()) == 2
    seen = query.read(answer)
    assert (seen.size, seen.mode, seen.text) == (8, 0o644, b"")
    assert not list(File(path=".env", content="KEY=1234").plan(at(tmp_path), seen))


def test_a_tool_that_fails_for_one_file_is_asked_again_for_that_one(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    real = shutil.which("sha256sum")
    # Says nothing about the second file when it is asked about several.
    (tools / "sha256sum").write_text(
        f'#!/bin/sh\n[ $# -gt 0 ] || exec {real}\n{real} "$@" | sed 2d\n'
    )
    (tools / "sha256sum").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    for name in "abc":
        (tmp_path / name).write_text(TEXT if name != "b" else "other")
        (tmp_path / name).chmod(0o644)
    queries = [File(path=name, content=TEXT).probe(at(tmp_path)) for name in "abc"]

    answers = told([query.asked for query in queries])

    assert [answer.stdout.splitlines()[0] for answer in answers] == ["same", "644", "same"]
    assert queries[1].read(answers[1]).text == b"other"


def test_a_run_for_many_that_dies_half_way_proves_nothing():
    script, mark = bundle([("answered 0; exit 1", ("a",)), ("answered 0; exit 1", ("b",))])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)

    with pytest.raises(UnreadableAnswer, match="answered 1 of 2 questions"):
        unbundle(Answer(done.returncode, done.stdout, done.stderr), mark, 2)
