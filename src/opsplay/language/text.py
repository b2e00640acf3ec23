"""Text to nodes: YAML 1.2 on PyYAML's event parser, every value with its line and column.

PyYAML's own loading is YAML 1.1 (`on` is true, `22:22` is 1342, a second equal key silently
wins); only its parser is used here. Refused: duplicate keys, tags, merge keys (`<<`), several
documents in a file, and files so big or so deep that they cannot be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Place
from opsplay.language import scalars
from opsplay.language.nodes import Document, Fields, Items, Node, Scalar
from opsplay.language.syntax import explain

LARGEST_FILE = 1_000_000
"""Bytes."""
MOST_VALUES = 50_000
"""In one file, with every alias counted as what it repeats."""
DEEPEST = 40
"""Levels of nesting."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff"
)


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        InvalidInput: it is missing, unreadable, too big, or not UTF-8.
    """
    file = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise InvalidInput([Problem(file, 1, 1, f"the file cannot be read: {reason}")]) from error
    if len(data) > LARGEST_FILE:
        raise InvalidInput([_too_big(file, len(data))])
    return _decode(file, data)


def _too_big(file: str, size: int) -> Problem:
    cause = f"the file is {size / 1e6:.1f} MB, more than the {LARGEST_FILE / 1e6:.0f} MB allowed"
    return Problem(file, 1, 1, cause, "is this really a playbook or an inventory?")


def _decode(file: str, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        problem = Problem(file, 1, 1, "the file is saved as UTF-16", "save it as UTF-8")
        raise InvalidInput([problem])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        cause = f"the byte 0x{data[error.start]:02x} here is not UTF-8"
        problem = Problem(file, line, column, cause, "save the file as UTF-8")
        raise InvalidInput([problem]) from error


def load(text: str, file: str = "") -> Fields:
    """Return the top level of a document.

    Raises:
        InvalidInput: with every mistake found.
    """
    document = parse(text, file)
    if document.problems or document.root is None:
        raise InvalidInput(document.problems)
    return document.root


def parse(text: str, file: str = "") -> Document:
    """Return the document with what is wrong in it; never raises for what the text holds."""
    text = text.removeprefix("\ufeff")
    if len(text) > LARGEST_FILE:
        return Document(file, text, None, (_too_big(file, len(text.encode())),))
    if bad := _FORBIDDEN.search(text):
        return Document(file, text, None, (_control_character(file, text, bad.start()),))
    composer = _Composer(file)
    try:
        root = composer.document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        composer.problems.append(explain(error, text, file))
        root = None
    except _Enough:
        root = None
    if isinstance(root, Fields | None):
        return Document(file, text, root, tuple(composer.problems))
    problem = _not_a_mapping(root)
    return Document(file, text, None, (*composer.problems, problem))


def _control_character(file: str, text: str, index: int) -> Problem:
    line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
    cause = f"there is an invisible character (U+{ord(text[index]):04X}) here"
    return Problem(file, line, column, cause, "delete it")


def _not_a_mapping(root: Items | Scalar) -> Problem:
    place = root.place
    if isinstance(root, Scalar) and root.value is None:
        cause, hint = "the file is empty", "begin with 'name:' (playbook) or 'sites:' (inventory)"
    else:
        what = "a list" if isinstance(root, Items) else "a single value"
        cause = f"the file holds {what}, not settings (key: value)"
        hint = "begin with 'name:' (playbook) or 'sites:' (inventory), without a dash"
    return Problem(place.file, place.line, place.column, cause, hint)


class _Enough(Exception):
    """The document cannot be read on; why is among the problems."""


class _Composer:
    """Turns the parser's events into nodes and collects what is wrong on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0

    def document(self, events: Iterator[Any]) -> Node:
        """Return the only document's top node; an empty scalar for an empty text."""
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self.blame(
                    event, "a second document begins here", "one file holds one; delete '---'"
                )
                break
            if isinstance(event, yaml.NodeEvent):
                root = self.node(event, events, 0)
        return root or Scalar(None, Place(self.file, 1, 1))

    def blame(self, event: Any, cause: str, suggestion: str = "") -> None:
        place = self.place(event)
        self.problems.append(Problem(place.file, place.line, place.column, cause, suggestion))

    def place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        before = self.count
        self.step(event, depth)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag is not None:
            self.blame(event, f"tags such as '{_short(event.tag)}' are not used here", _QUOTE)
        node = self.untagged(event, events, depth + 1)
        if event.anchor:
            self.anchors[event.anchor] = (node, self.count - before)
        return node

    def untagged(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            value = event.value if event.style else scalars.meaning(event.value)
            return Scalar(value, self.place(event))
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, events, depth)
        return self.mapping(event, events, depth)

    def step(self, event: Any, depth: int, size: int = 1) -> None:
        self.count += size
        if depth > DEEPEST:
            self.blame(event, f"more than {DEEPEST} levels of nesting")
            raise _Enough
        if self.count > MOST_VALUES:
            self.blame(event, f"more than {MOST_VALUES} values, counting what aliases repeat", _OUT)
            raise _Enough

    def alias(self, event: Any) -> Node:
        if event.anchor not in self.anchors:
            cause = f"'*{event.anchor}' repeats '&{event.anchor}', which is not above"
            self.blame(event, cause)
            return Scalar(None, self.place(event))
        node, size = self.anchors[event.anchor]
        self.step(event, 0, size)
        return node

    def sequence(self, event: Any, events: Iterator[Any], depth: int) -> Items:
        items = []
        while not isinstance(child := next(events), yaml.SequenceEndEvent):
            items.append(self.node(child, events, depth))
        return Items(tuple(items), self.place(event))

    def mapping(self, event: Any, events: Iterator[Any], depth: int) -> Fields:
        values: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while not isinstance(child := next(events), yaml.MappingEndEvent):
            key = self.key(child, events, depth, event)
            value = self.node(next(events), events, depth)
            if key in values:
                first = f"{keys[key].line}:{keys[key].column}"
                self.blame(
                    child, f"'{key}' is written twice (first at {first})", "keep one of them"
                )
            elif key is not None:
                values[key], keys[key] = value, self.place(child)
        return Fields(values, keys, self.place(event))

    def key(self, event: Any, events: Iterator[Any], depth: int, outer: Any) -> str | None:
        """Return the key as it is written, or None when it cannot be one."""
        self.node(event, events, depth)
        if isinstance(event, yaml.MappingStartEvent):
            self.blame(outer, "a {{ template }} must stand in quotes", 'write "{{ … }}"')
            return None
        if isinstance(event, yaml.SequenceStartEvent):
            self.blame(event, "a list cannot be a key", "put it in quotes if it is a text")
            return None
        if isinstance(event, yaml.AliasEvent) or not event.value:
            self.blame(event, "there is no key before the ':'")
            return None
        if event.value == "<<" and not event.style:
            self.blame(event, "merging with '<<' is not part of YAML 1.2", "write the settings out")
            return None
        return str(event.value)


_OUT = "write the values out"
_QUOTE = "delete it, and put the value in quotes if it is a text"


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
