"""Whether a backup looks like damage rather than like work: pure judgement.

Encrypting trojans, wiped sites and half-deleted ones all look alike from outside: too much changed
at once. Such a backup is kept, marked, and never built upon. The marks are thresholds, no proof: a
rebuilt site trips them as well, and then a person says so with one backup of `full: true`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opsplay.core.index import Entry, Index
from opsplay.core.snapshot import Stream
from opsplay.engine.store_diff import Changes
from opsplay.engine.store_packs import COMPRESSED, Pack, extension

MOST_CHANGED = 0.30
MOST_REMOVED = 0.20
"""Shares of the files of the last backup."""
FEW = 20
"""Fewer files than this prove nothing, unless no other is left."""
TEXT_RATIO = 0.95
"""Code and texts are stored in a third of their bytes; what needs this many of them is neither."""

_WORDS = """
php phtml php3 php4 php5 php7 php8 phar inc module install theme tpl twig latte js mjs cjs
htaccess ini sh cgi pl py rb so
"""
CODE = frozenset(_WORDS.split())
"""Extensions of what a web server, or a visitor's browser, runs."""


@dataclass(frozen=True)
class Budget:
    """What was there at the last backup, and what became of it. All of it files."""

    last: Mapping[str, Entry]
    changes: Changes
    same_version: bool = True
    """Whether the CMS is still at the version of the last backup: an update changes most of what is
    no picture or document."""

    @property
    def files(self) -> frozenset[str]:
        """Return the paths of the files of the last backup."""
        if isinstance(self.last, Index):
            return self.last.files
        return frozenset(path for path, entry in self.last.items() if entry.kind == "file")


def code_changed(changes: Changes) -> tuple[str, ...]:
    """Return the paths of code that is new or differs."""
    return tuple(sorted(path for path in (*changes.added, *changes.changed) if is_code(path)))


def is_code(path: str) -> bool:
    """Return whether a file of this name is run by somebody."""
    return extension(path) in CODE


def budget_reasons(budget: Budget) -> tuple[str, ...]:
    """Return why so much change is no everyday work; empty: it is."""
    files = budget.files
    if not files:
        return ()
    found = (_too_much_changed(budget, files), _too_much_removed(budget, files), _renamed(budget))
    return tuple(reason for reason in found if reason)


def packing_reasons(packed: Iterable[tuple[Pack, Stream]], changes: Changes) -> tuple[str, ...]:
    """Return whether what used to be text is no longer: encrypted files do not compress."""
    changed = set(changes.changed)
    soft = [(pack, stream) for pack, stream in packed if stream.compression != "none"]
    entries = [entry for pack, _ in soft for entry in pack.entries if entry.kind == "file"]
    rewritten = [entry.size for entry in entries if entry.path in changed]
    size = sum(entry.size for entry in entries)
    stored = sum(stream.stored_bytes for _, stream in soft)
    if len(rewritten) >= FEW and 2 * sum(rewritten) > size and stored > TEXT_RATIO * size:
        return (f"{len(rewritten)} changed files no longer compress",)
    return ()


def _too_much_changed(budget: Budget, files: frozenset[str]) -> str:
    before = files
    changed = files.intersection(budget.changes.changed)
    if not budget.same_version:  # code, styles and words change with an update; pictures do not
        changed, before = _of_people(changed), _of_people(before)
    return _over(len(changed), len(before), MOST_CHANGED, "changed")


def _too_much_removed(budget: Budget, files: frozenset[str]) -> str:
    gone = files.intersection(budget.changes.removed)
    if len(gone) == len(files):
        return f"all {len(files)} files of the last backup are gone"
    return _over(len(gone), len(files), MOST_REMOVED, "were removed")


def _over(count: int, of: int, most: float, what: str) -> str:
    if count < FEW or count <= most * of:
        return ""
    return f"{count} of {of} files {what} since the last backup ({count / of:.0%}, over {most:.0%})"


def _of_people(paths: frozenset[str]) -> frozenset[str]:
    """Return pictures, documents and the like: what an update leaves alone, and a trojan does not."""
    return frozenset(path for path in paths if extension(path) in COMPRESSED)


def _renamed(budget: Budget) -> str:
    """Return whether files got one more, or another, extension that the site never had."""
    if min(len(budget.changes.added), len(budget.changes.removed)) < FEW:
        return ""
    known = {extension(path) for path in budget.last}
    removed = set(budget.changes.removed)
    stems = {path.rpartition(".")[0] for path in removed}
    new: Counter[str] = Counter()
    for path in budget.changes.added:
        stem, _, _ = path.rpartition(".")
        if extension(path) not in known and (stem in removed or stem in stems):
            new[extension(path)] += 1
    (ending, count), *_ = new.most_common(1) or [("", 0)]
    if count >= FEW and 2 * count > len(removed):
        return f"{count} files were renamed to .{ending}, which the site never had"
    return ""
