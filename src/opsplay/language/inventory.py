"""Inventory texts to model, with every mistake of every file."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Place
from opsplay.language import text, words
from opsplay.language.nodes import Document, Fields, Node, fields_at, find, items_at, plain, text_at
from opsplay.language.problems import best_at_each_place, say
from opsplay.language.schema import Schema
from opsplay.language.shape_inventory import inventory_schema
from opsplay.language.site_checks import site_problems, vault_problems
from opsplay.language.suggest import did_you_mean
from opsplay.language.variables import computed, rendered

Fetch = Callable[[str], str]
"""Path → text of a `vars_files` file. Raises InvalidInput or OSError."""


@dataclass(frozen=True)
class InventoryFile:
    """One file with its templates computed. `complete`: its `vars_files` were all there."""

    file: str
    root: Fields
    problems: tuple[Problem, ...]
    complete: bool = True
    read: Mapping[str, str] = field(default_factory=dict)
    """Path → text of the `vars_files` it read."""


@cache
def _schema() -> Schema:
    return inventory_schema()


def vars_paths(root: Node | None, file: str) -> tuple[str, ...]:
    """Return the paths that a file's `vars_files` name, as `fetch` takes them."""
    named = (text_at(item) for item in items_at(root, "vars_files"))
    folder = posixpath.dirname(file)
    return tuple(posixpath.normpath(posixpath.join(folder, one)) for one in named if one)


def parse_file(document: Document, fetch: Fetch, extra_vars: Mapping[str, Any]) -> InventoryFile:
    """Return a parsed inventory file with its templates computed; the root must be there."""
    root = document.root or Fields({}, {}, _top(document.file))
    values, read, missing = _variables(root, document.file, fetch)
    scope = {**values, **extra_vars}
    # without its variables every template of the file would be wrong: one mistake says it all
    new, undefined = (root, ()) if missing else rendered(root, scope)
    top = new if isinstance(new, Fields) else root
    found = chain(document.problems, missing, undefined, _of_file(top))
    return InventoryFile(
        document.file,
        top,
        best_at_each_place(found, words.problems(top, _schema())),
        not missing,
        read,
    )


def _top(file: str) -> Place:
    return Place(file, 1, 1)


def _variables(
    root: Fields, file: str, fetch: Fetch
) -> tuple[dict[str, Any], dict[str, str], tuple[Problem, ...]]:
    values: dict[str, Any] = {}
    read: dict[str, str] = {}
    problems: list[Problem] = []
    for item, path in zip(items_at(root, "vars_files"), vars_paths(root, file), strict=False):
        try:
            read[path] = fetch(path)
            found = text.load(read[path], path)
        except InvalidInput as error:
            problems.extend(error.problems)
        except (OSError, KeyError):
            problems.append(say(item.place, f"the file {path} does not exist", _advice(path)))
        else:
            result, wrong = computed(found, {})
            values |= result
            problems.extend(wrong)
    return values, read, tuple(problems)


def _advice(path: str) -> str:
    if ".lab" in path.split("/"):
        return "start the lab with: invoke lab.up"
    return "create it, or delete it from 'vars_files'"


def _of_file(root: Fields) -> Iterator[Problem]:
    """Find what is wrong in one file by itself."""
    if "sites" not in root.values and "vaults" not in root.values:
        yield say(root.place, "the file declares neither 'sites' nor 'vaults'", "add one of them")
    for name in fields_at(root, "sites"):
        yield from site_problems(root, name)
    for name in fields_at(root, "vaults"):
        yield from vault_problems(root, name)


def across(files: tuple[InventoryFile, ...]) -> Iterator[Problem]:
    """Find what is wrong between files: names declared twice, vaults that nobody declares."""
    for what in ("sites", "vaults"):
        yield from _twice(files, what)
    vaults = {name for one in files for name in fields_at(one.root, "vaults")}
    for one in files:
        for name in fields_at(one.root, "sites"):
            wanted, node = text_at(one.root, "sites", name, "vault"), None
            if wanted and one.complete and wanted not in vaults:
                node = find(one.root, ("sites", name, "vault"))
            if node:
                hint = did_you_mean(wanted or "", vaults) or "declare it under 'vaults'"
                yield say(node.place, f"the vault '{wanted}' is not declared", hint)


def _twice(files: tuple[InventoryFile, ...], what: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for one in files:
        group = find(one.root, (what,))
        for name, place in group.keys.items() if isinstance(group, Fields) else ():
            if name in seen:
                cause = f"the {what[:-1]} '{name}' is declared already at {seen[name]}"
                yield say(place, cause, "names must differ in the whole inventory")
            seen.setdefault(name, str(place))


def plain_files(files: tuple[InventoryFile, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each file's path and its content as plain data."""
    for one in files:
        yield one.file, plain(one.root)
