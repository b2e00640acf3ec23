"""The YAML parser's complaints in plain words."""

from __future__ import annotations

import yaml

from opsplay.core.errors import Problem

_WORDS: tuple[tuple[str, str, str], ...] = (
    # (part of the parser's problem, cause, suggestion); the first that fits is taken
    (
        "mapping values are not allowed",
        "a ':' stands where none may be",
        "is the line indented too far? a text that holds ': ' wants quotes",
    ),
    (
        "expected '-' indicator",
        "this line is neither an item of the list above nor the end of it",
        "give it a '- ' like its neighbours, or the indentation of the list's key",
    ),
    (
        "block sequence entries are not allowed",
        "a list item ('- ') cannot begin here",
        "put the list below its key, on lines of its own",
    ),
    ("expected ',' or ']'", "the list opened with '[' is not closed", "add ']' or a comma"),
    ("expected ',' or '}'", "the group opened with '{' is not closed", "add '}' or a comma"),
    (
        "did not find expected key",
        "the indentation of this line fits nothing above it",
        "align it with its neighbours, with spaces",
    ),
    (
        "could not find expected ':'",
        "this line has no ':' after its key",
        "write 'key: value'; a text over several lines begins with '|'",
    ),
    (
        "expected node content",
        "a value is missing before this",
        "write it, or close the bracket that is open above",
    ),
    (
        "unknown escape character",
        "a backslash means something in double quotes",
        "use single quotes",
    ),
    (
        "did not find expected alphabetic",
        "'&' or '*' cannot begin a text",
        "put the text in quotes",
    ),
    ("undefined tag handle", "tags ('!…') are not used here", "put the text in quotes"),
    ("document indicator", "'---' or '...' stands inside a value", "indent it or close the quotes"),
    (
        "expected <document start>",
        "this line fits nothing above it",
        "align it with its neighbours, with spaces",
    ),
    ("directive", "lines that begin with '%' are not used here", "delete it or put it in quotes"),
    ("incompatible YAML document", "only YAML 1.2 is understood here", "delete the '%YAML' line"),
)


def explain(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """Return what the parser stumbled over as a person would say it."""
    mark = error.problem_mark or error.context_mark
    complaint = error.problem or ""
    if "unexpected end of stream" in complaint and error.context_mark:
        mark = error.context_mark
        return _at(mark, file, "the quote opened here is never closed", "close it")
    if _tab_near(text, mark):
        return _at(
            mark, file, "a tab is used for indentation", "use spaces; YAML refuses tabs there"
        )
    if "cannot start any token" in complaint:
        character = _character(text, mark)
        return _at(mark, file, f"a value cannot begin with '{character}'", "put it in quotes")
    if "expected ','" in complaint:
        mark = error.context_mark or mark
    for part, cause, suggestion in _WORDS:
        if part in complaint:
            return _at(mark, file, cause, suggestion)
    return _at(mark, file, f"this is not YAML: {complaint or 'unreadable'}")


def _at(mark: yaml.Mark | None, file: str, cause: str, suggestion: str = "") -> Problem:
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(file, line, column, cause, suggestion)


def _tab_near(text: str, mark: yaml.Mark | None) -> bool:
    """Return whether the line complained about, or the one before, is indented with a tab."""
    lines = text.splitlines()
    near = lines[max(0, mark.line - 1) : mark.line + 1] if mark else []
    return any("\t" in line[: len(line) - len(line.lstrip())] for line in near)


def _character(text: str, mark: yaml.Mark | None) -> str:
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines):
        return "that"
    return lines[mark.line][mark.column : mark.column + 1] or "that"
