"""Files to models: the two entrances, and one for both at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from opsplay.core.errors import InvalidInput, Problem
from opsplay.core.playbook import Inventory, Playbook
from opsplay.core.site import Site
from opsplay.language import text
from opsplay.language.inventory import InventoryFile, across, parse_file, plain_files, vars_paths
from opsplay.language.inventory_model import sites, vaults
from opsplay.language.playbook import parse_playbook
from opsplay.language.problems import best_at_each_place
from opsplay.language.together import check_together

_NONE: Mapping[str, Any] = MappingProxyType({})


def read_playbook(path: Path | str, *, extra_vars: Mapping[str, Any] = _NONE) -> Playbook:
    """Return the playbook in a file.

    Raises:
        InvalidInput: with every mistake in it.
    """
    return playbook_from_text(text.read_text(Path(path)), str(path), extra_vars=extra_vars)


def playbook_from_text(
    source: str, file: str, *, extra_vars: Mapping[str, Any] = _NONE
) -> Playbook:
    """Return the playbook in a text, such as one from the journal. Raises as `read_playbook`."""
    playbook, problems = parse_playbook(source, file, extra_vars)
    if playbook is None:
        raise InvalidInput(problems)
    return playbook


def read_inventory(directory: Path | str, *, extra_vars: Mapping[str, Any] = _NONE) -> Inventory:
    """Return the inventory in all `*.yaml` files of a directory, in the order of their names.

    The directory above it is the ops repository, which `file:` secrets are relative to.

    Raises:
        InvalidInput: with every mistake in every file.
    """
    folder = Path(directory)
    paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not paths:
        cause = f"no inventory file (*.yaml) in {folder}"
        samples = sorted(folder.glob("*.sample")) if folder.is_dir() else []
        begin = f"cp {samples[0]} {folder}/CLIENT.yaml, and fill it in" if samples else ""
        raise InvalidInput(cause, next_command=begin or "invoke init DIR")
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            texts[path.as_posix()] = text.read_text(path)
        except InvalidInput as error:
            problems.extend(error.problems)
    return _inventory(texts, _from_disk, extra_vars, folder.parent, problems)


def inventory_from_texts(
    texts: Mapping[str, str],
    *,
    extra_vars: Mapping[str, Any] = _NONE,
    repository: Path | str = Path(),
) -> Inventory:
    """Return the inventory in texts (`Inventory.texts`), such as those of the journal.

    Raises:
        InvalidInput: with every mistake in every text.
    """
    return _inventory(texts, lambda path: texts[path], extra_vars, Path(repository), [])


def read_all(
    playbook: Path | str,
    inventory: Path | str,
    *,
    extra_vars: Mapping[str, Any] = _NONE,
    limit: str = "",
) -> tuple[Playbook, Inventory, tuple[Site, ...]]:
    """Return playbook, inventory and the sites meant.

    Raises:
        InvalidInput: with every mistake of all files.
    """
    problems: list[Problem] = []
    book, stock = None, None
    try:
        book = read_playbook(playbook, extra_vars=extra_vars)
    except InvalidInput as error:
        problems.extend(error.problems)
    try:
        stock = read_inventory(inventory, extra_vars=extra_vars)
    except InvalidInput as error:
        if not error.problems and not problems:
            raise
        problems.extend(error.problems)
    if book is None or stock is None:
        raise InvalidInput(problems)
    return book, stock, check_together(book, stock, limit)


def _from_disk(path: str) -> str:
    if not Path(path).exists():
        raise FileNotFoundError(path)
    return text.read_text(Path(path))


def _inventory(
    texts: Mapping[str, str],
    fetch: Any,
    extra_vars: Mapping[str, Any],
    repository: Path,
    problems: list[Problem],
) -> Inventory:
    files, found = _parsed(texts, fetch, extra_vars)
    wrong = best_at_each_place([*problems, *found, *across(files)])
    if wrong:
        raise InvalidInput(wrong)
    every = {path: source for one in files for path, source in one.read.items()}
    return Inventory(
        sites=sites(plain_files(files), extra_vars, repository),
        vaults=vaults(plain_files(files), repository),
        texts={one.file: texts[one.file] for one in files} | every,
    )


def _parsed(
    texts: Mapping[str, str], fetch: Any, extra_vars: Mapping[str, Any]
) -> tuple[tuple[InventoryFile, ...], list[Problem]]:
    """Return every inventory file; files that are another's `vars_files` are none."""
    documents = [text.parse(source, file) for file, source in sorted(texts.items())]
    variables = {path for one in documents for path in vars_paths(one.root, one.file)}
    kept = [one for one in documents if one.file not in variables]
    files = tuple(parse_file(one, fetch, extra_vars) for one in kept if one.root)
    unread = [problem for one in kept if one.root is None for problem in one.problems]
    return files, unread + [problem for one in files for problem in one.problems]
