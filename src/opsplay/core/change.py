"""A change: what a step would do, as data, with its way back."""

from __future__ import annotations

from dataclasses import dataclass

from opsplay.core.action import Action


@dataclass(frozen=True)
class Change:
    """One thing to do. Decided before anything runs, journalled before it is done."""

    what: str
    """What is changed, in a shop owner's words: `WordPress`, `plugin akismet`."""
    do: Action
    before: str = ""
    after: str = ""
    undo: Action | None = None
    loses: str = ""
    """What going back costs, in a shop owner's words; empty when it costs nothing."""
    key: str = ""
    """Machine name that is the same in rehearsal and publication: `core`, `module:akismet`."""
    version: str = ""
    """The exact version that `do` brings, for `to: rehearsed`."""
    package: str = ""
    """Where that version's package comes from (URL), for `to: rehearsed`."""
    difference: str = ""
    """Unified diff for a person's eyes, during a check; never journalled."""
    covered: bool = False
    """Whether the stage's restore point undoes this too (code and database of the CMS)."""
