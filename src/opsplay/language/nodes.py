"""A document as read: values that know where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opsplay.core.errors import Problem
from opsplay.core.playbook import Place


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, a whole number, true, false or nothing."""

    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Fields:
    """A group of settings; `keys` holds where each key stands."""

    values: Mapping[str, Node]
    keys: Mapping[str, Place]
    place: Place


Node: TypeAlias = Scalar | Items | Fields
Path: TypeAlias = Sequence[str | int]


@dataclass(frozen=True)
class Document:
    """One file after parsing. `root` is None when it could not be parsed at all."""

    file: str
    text: str
    root: Fields | None
    problems: tuple[Problem, ...] = field(default=())


def plain(node: Node) -> Any:
    """Return the node as plain lists, dictionaries and scalars."""
    match node:
        case Scalar(value=value):
            return value
        case Items(items=items):
            return [plain(item) for item in items]
        case Fields(values=values):
            return {key: plain(value) for key, value in values.items()}


def placed(value: Any, place: Place) -> Node:
    """Return a plain value as a node; everything in it stands at `place`."""
    match value:
        case Mapping():
            values = {str(key): placed(item, place) for key, item in value.items()}
            return Fields(values, dict.fromkeys(values, place), place)
        case list() | tuple():
            return Items(tuple(placed(item, place) for item in value), place)
        case _:
            return Scalar(value, place)


def find(node: Node | None, path: Path) -> Node | None:
    """Return what stands at `path` below `node`, or None."""
    for part in path:
        match node:
            case Fields() if isinstance(part, str):
                node = node.values.get(part)
            case Items() if isinstance(part, int) and part < len(node.items):
                node = node.items[part]
            case _:
                return None
    return node


def place_of(root: Node, path: Path) -> Place:
    """Return where the value at `path` stands, or the nearest thing above it that exists."""
    for length in range(len(path), -1, -1):
        node = find(root, path[:length])
        if node is not None:
            return node.place
    return root.place


def place_of_key(root: Node, path: Path) -> Place:
    """Return where the key at the end of `path` stands; the value's place for a list item."""
    parent = find(root, path[:-1])
    if isinstance(parent, Fields) and path and path[-1] in parent.keys:
        return parent.keys[str(path[-1])]
    return place_of(root, path)


def text_at(node: Node | None, *path: str | int) -> str | None:
    """Return the text at `path`, or None where there is none or something else."""
    found = find(node, path)
    return found.value if isinstance(found, Scalar) and isinstance(found.value, str) else None


def items_at(node: Node | None, *path: str | int) -> tuple[Node, ...]:
    """Return the items of the list at `path`; none where there is something else."""
    found = find(node, path)
    return found.items if isinstance(found, Items) else ()


def fields_at(node: Node | None, *path: str | int) -> Mapping[str, Node]:
    """Return the settings of the group at `path`; none where there is something else."""
    found = find(node, path)
    return found.values if isinstance(found, Fields) else {}


def scalars(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Path, Scalar]]:
    """Yield every scalar at or below `node` with its path, in the order of the text."""
    match node:
        case Scalar():
            yield path, node
        case Items(items=items):
            for index, item in enumerate(items):
                yield from scalars(item, (*path, index))
        case Fields(values=values):
            for key, value in values.items():
                yield from scalars(value, (*path, key))
