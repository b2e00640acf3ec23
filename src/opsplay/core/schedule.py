"""When a playbook starts by itself, and what is known of when it did. Facts only; no clock here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

Misfire: TypeAlias = Literal["latest", "all", "skip"]


@dataclass(frozen=True)
class Schedule:
    """The `schedule:` of a playbook."""

    cron: str
    """Five fields: minute, hour, day of the month, month, day of the week."""
    said: str
    """As it was written: a word such as `quarterly`, or the five fields."""
    timezone: str = "UTC"
    """Name in the tz database; what the five fields are read in."""
    spread: timedelta = timedelta(0)
    """Sites begin at different moments within this time, each always at the same one."""
    misfire: Misfire = "latest"
    """Which of several missed slots are made up for: the newest, each, or none."""
    overdue: timedelta | None = None
    """How late a good run may be before it is an alarm; None: until the slot after it is due,
    and a day at most."""
    ping: str = ""
    """URL that is fetched after each tick that found this schedule in order."""
    ping_secret: str = ""
    """Reference to that URL (`env:NAME`), where it is kept out of the playbook."""

    @property
    def identity(self) -> str:
        """Return what makes it another schedule when it changes: then nothing of the past is due."""
        return f"{self.cron} {self.timezone}"


@dataclass(frozen=True, order=True)
class Slot:
    """One moment of a schedule, for one site. Both in UTC."""

    at: datetime
    """As the five fields say it: the same for all sites of the playbook."""
    due: datetime
    """When this site begins: later than `at` by the site's part of the spread."""


@dataclass(frozen=True)
class Past:
    """What the journal says of one scheduled playbook on one site."""

    known_since: datetime | None = None
    """When this schedule was first seen; nothing before that is due. None: never yet."""
    started: frozenset[datetime] = frozenset()
    """`Slot.at` of every slot that was started."""
    last_run: str = ""
    last_at: datetime | None = None
    """When the last run began; for a slot's run that is the slot."""
    last_state: str = ""
    """How the last run ended for the site; `unfinished` while it has not."""
    last_good: datetime | None = None
    """When the last run that ended well began; runs started by hand count too."""


@dataclass(frozen=True)
class Due:
    """What has to be started now for one site, oldest first, and what is not made up for."""

    start: tuple[Slot, ...] = ()
    missed: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Standing:
    """How one scheduled playbook stands on one site: a row of `schedule.list`."""

    name: str
    """Of the playbook's file, without its ending."""
    site: str
    schedule: Schedule
    next: Slot | None
    past: Past
    overdue_since: datetime | None = None
    """Since when a good run is overdue; None: it is not."""


@dataclass(frozen=True, order=True)
class Start:
    """One start that a schedule will bring, or would have brought."""

    moment: datetime
    """When a tick starts it, in UTC."""
    name: str
    site: str
    slot: Slot
    missed: tuple[Slot, ...] = ()
    """Earlier slots that this one stands for, or that were let go with it."""
