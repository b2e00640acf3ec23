"""What a storage enforces and what a credential may do, as found by trying."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Weight = Literal["must", "should", "good to know"]


@dataclass(frozen=True)
class Enforced:
    """One promise, and what happened when it was tried."""

    name: str
    """Short, for programs: `wrong-body`."""
    promise: str
    """What is wanted, as a sentence that is true where all is well."""
    kept: bool | None
    """None: it could not be tried; `seen` says why."""
    seen: str
    weight: Weight = "must"
    """`must`: no backup goes where it is not kept. `should`: a weakness that is told."""


def broken(found: Iterable[Enforced]) -> tuple[Enforced, ...]:
    """Return the promises that must be kept and are not."""
    return tuple(one for one in found if one.weight == "must" and one.kept is False)


def weak(found: Iterable[Enforced]) -> tuple[Enforced, ...]:
    """Return the promises that should be kept and are not."""
    return tuple(one for one in found if one.weight == "should" and one.kept is False)


@dataclass(frozen=True)
class Probed:
    """What was found, in the order in which it was tried."""

    found: tuple[Enforced, ...]
    left: int
    """Test objects that could not be deleted: locked for a minute more, or nobody may. -1: not
    even looked for."""
    prefix: str
    """Where they are."""


@dataclass(frozen=True)
class SetUp:
    """The bucket as it is now, what is left to do by hand, and what the credentials then could do."""

    provider: str
    made: tuple[Enforced, ...]
    recipe: Mapping[str, Any]
    """Title → document to give to the provider; empty where that was done."""
    probed: Probed | None = None
    untried: str = ""
    """Why the vault's own credentials were not tried."""

    @property
    def sound(self) -> bool:
        """Return whether all that must be is, and the credentials are as narrow as they should be."""
        if not self.probed:
            return False
        found = (*self.made, *self.probed.found)
        loose = any(one.name.startswith(("daily-", "expiry-")) for one in weak(found))
        return not broken(found) and not loose
