"""The house rules that no other tool checks: sizes, names, and what may never be written down."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "opsplay"
MODULES = sorted(SOURCE.rglob("*.py"))

LONGEST_FUNCTION, LONGEST_FILE, USUAL_FUNCTION = 45, 300, 8
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}
OF_ONE_MACHINE = (
    re.compile(r"(?<![\w.])/(?:Users|work|root/\.\w+|home/(?:runner|ubuntu|vagrant|dev))/\w"),
    re.compile(r"/tmp/[a-z]+/BR" + "IEF"),
)
REGISTRIES = re.compile(
    r"https?://(?!pypi\.org|registry\.npmjs\.org)[\w.-]*"
    r"(?:artifactory|nexus|devpi|pypi|registry|proxy|mirror|codeartifact)[\w.-]*(?:[:/]|$)"
)


def functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    found = [
        one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [(f"{path.relative_to(SOURCE)}:{one.name}", _lines(one)) for one in found]


def _lines(one: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a body, its docstring aside: what one has to keep in one's head."""
    body = one.body[1:] if ast.get_docstring(one) is not None else one.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def tracked() -> list[Path]:
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=REPOSITORY, capture_output=True, check=True).stdout
    return [REPOSITORY / name for name in listed.decode().split("\0") if name]


def texts() -> dict[str, str]:
    found = {}
    for path in tracked():
        if path.is_file() and path != Path(__file__):
            content = path.read_bytes()
            if b"\0" not in content:
                found[str(path.relative_to(REPOSITORY))] = content.decode("utf-8", "replace")
    return found


def test_no_function_is_longer_than_a_screen():
    long = [one for path in MODULES for one in functions(path) if one[1] > LONGEST_FUNCTION]

    assert long == []


def test_no_file_is_longer_than_one_can_keep_in_mind():
    lengths = {str(path.relative_to(SOURCE)): path.read_text().count("\n") for path in MODULES}

    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_most_functions_are_read_at_a_glance():
    lengths = [length for path in MODULES for _, length in functions(path)]

    assert statistics.median(lengths) <= USUAL_FUNCTION


def test_every_module_is_named_for_what_it_is_about():
    parts = {part for path in MODULES for part in path.relative_to(SOURCE).with_suffix("").parts}

    assert parts & VAGUE == set()
    assert {word for part in parts for word in part.split("_")} & VAGUE == set()


def test_nothing_is_left_to_do_in_a_comment():
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")

    assert [name for name, text in texts().items() if mark.search(text)] == []


@pytest.mark.parametrize("pattern", OF_ONE_MACHINE, ids=lambda pattern: pattern.pattern[:20])
def test_no_path_of_one_machine_is_written_down(pattern):
    found = {name: hit[0] for name, text in texts().items() if (hit := pattern.search(text))}

    assert found == {}


def test_no_package_registry_is_written_down():
    found = {name: hit[0] for name, text in texts().items() if (hit := REGISTRIES.search(text))}

    assert found == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
