"""Level 3: compare the newest backup with the living site, within tolerances.

A site lives on after its backup, so that some difference is right. A file that has kept its size
and time and still differs is not: either the backup or the site is damaged.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opsplay.core.index import Entry
from opsplay.core.verdict import Damage

MOST_DIFFERENT = 0.3
"""Share of the files that may differ: as much as a backup may change before it is suspect."""
SAMPLE = 500
"""Files whose content is compared."""
_NAMED = 5
_NANO = 1_000_000_000


@dataclass(frozen=True)
class Spot:
    """A backup's files beside the living ones."""

    key: str
    """Of the index, which is blamed."""
    saved: Mapping[str, Entry]
    living: Mapping[str, Entry]

    @classmethod
    def of(cls, key: str, saved: Iterable[Entry], living: Iterable[Entry]) -> Spot:
        """Return both, files only."""
        return cls(key, _files(saved), _files(living))

    def sample(self, most: int = SAMPLE) -> tuple[str, ...]:
        """Return paths whose content is to be the same: size and time are; at random."""
        same = sorted(path for path, one in self.saved.items() if one.sha256 and self._as_was(path))
        chosen = random.SystemRandom().sample(same, min(most, len(same)))
        return tuple(sorted(chosen))

    def judged(
        self, sampled: Sequence[str], hashes: Mapping[str, str]
    ) -> tuple[tuple[Damage, ...], str]:
        """Return what is wrong, and how much was looked at."""
        other = [path for path in sampled if hashes.get(path, "") not in {"", self._sum(path)}]
        found = [Damage(self.key, f"and the site differ in {path}, of the same size and time")
                 for path in other[:_NAMED]]  # fmt: skip
        if len(other) > _NAMED:
            found.append(Damage(self.key, f"and the site differ in {len(other) - _NAMED} more"))
        every = self.saved.keys() | self.living.keys()
        different = sum(not self._as_was(path) for path in every)
        if every and different / len(every) > MOST_DIFFERENT:
            words = f"and the site differ in {different} of {len(every)} files"
            found.append(Damage(self.key, f"{words}: that is too much for one backup to the next"))
        words = f"{len(sampled)} of {len(self.saved)} files compared with the site"
        return tuple(found), f"{words}, {different} changed since"

    def _sum(self, path: str) -> str:
        return self.saved[path].sha256

    def _as_was(self, path: str) -> bool:
        """Return whether a file is on both sides, of one size and time (in whole seconds)."""
        saved, living = self.saved.get(path), self.living.get(path)
        if saved is None or living is None:
            return False
        return (saved.size, saved.mtime // _NANO) == (living.size, living.mtime // _NANO)


def _files(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    return {one.path: one for one in entries if one.kind == "file"}
