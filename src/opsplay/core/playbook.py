"""The validated model of a playbook: stages of declarations, with their places in the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from opsplay.core.site import Site
from opsplay.core.vault import VaultSettings

if TYPE_CHECKING:  # most playbooks have none
    from opsplay.core.schedule import Schedule

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Place:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Declaration:
    """One step as written: settings may still hold `{{ templates }}`.

    `opsplay.language.build_step(declaration, scope)` makes the step of it.
    """

    kind: str
    settings: Mapping[str, Any]
    name: str = ""
    when: str = ""
    tags: tuple[str, ...] = ()
    retries: int = 0
    delay: float = 5.0
    """Seconds before the first retry; doubles each time."""
    register: str = ""
    place: Place = Place("", 1, 1)
    places: Mapping[str, Place] = field(default_factory=lambda: _EMPTY, repr=False, compare=False)
    """Where each setting stands: path below the kind (`only.0`) → place of the value; with `:` at
    its end (`only:`), place of the key."""

    @property
    def title(self) -> str:
        """Return what the run shows for this step."""
        return self.name or self.kind


@dataclass(frozen=True)
class Window:
    """When a stage may begin to change a site. Hours are what clocks on the wall there show."""

    opens: int
    """Minutes after midnight, 0 to 1439."""
    closes: int
    """Minutes after the same midnight, more than `opens` and at most a day later."""
    timezone: str
    """Name in the tz database: `Europe/Paris`."""
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    """Weekdays on which it opens, Monday is 0; what goes on past midnight belongs to that day."""
    holidays: str = ""
    """Country (`FR`, `DE-BY`) on whose public holidays it does not open; empty: none."""
    text: str = ""
    """As a person reads it: `22:00-05:00 Europe/Paris`."""


@dataclass(frozen=True)
class Stage:
    """A group of steps on one environment, with the brackets around it."""

    name: str
    steps: tuple[Declaration, ...]
    environment: str = "production"
    prepares: str = ""
    """Name of a later stage: when that one has nothing to change, neither has this one."""
    maintenance: bool = False
    on_failure: Literal["stop", "rollback"] = "stop"
    window: Window | None = None
    """Outside of it the stage does not begin to change anything; begun, it goes on."""
    tags: tuple[str, ...] = ()
    when: str = ""
    place: Place = Place("", 1, 1)


@dataclass(frozen=True)
class Playbook:
    """What to do, on which sites, how many at a time."""

    name: str
    stages: tuple[Stage, ...]
    sites: str = "all"
    """Pattern: `all`, `tag:NAME`, names, `*` wildcards, `!not`; joined by commas."""
    serial: tuple[str, ...] = ()
    """Batch sizes: numbers or percentages; the last one repeats. Empty: all at once."""
    max_fail_percentage: float = 100.0
    """Above this share of failed sites in a batch no later batch begins."""
    order: Literal["inventory", "reverse_inventory", "risk"] = "inventory"
    """Which sites come first; `risk`: those first where a failure would harm least."""
    per_host: int = 4
    """Sites of one host that are changed at the same time."""
    forks: int = 0
    """Sites at work at the same time; 0: as many as the command says."""
    schedule: Schedule | None = None
    """When it starts by itself (`schedule.tick`); None: only by hand."""
    vars: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    file: str = ""
    text: str = ""


@dataclass(frozen=True)
class Inventory:
    """All sites and vaults, with the texts they were read from (secrets are references there)."""

    sites: Mapping[str, Site]
    vaults: Mapping[str, VaultSettings]
    texts: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Path → text of every file read, for the journal."""
