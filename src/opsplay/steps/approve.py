"""Ask somebody before the site is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from opsplay.core.action import Await
from opsplay.core.change import Change
from opsplay.core.site import Site
from opsplay.core.step import Step, param

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
"""Seconds by the first letter of the unit."""


class Approve(Step[None], kind="approve"):
    """Ask somebody to agree to what the later stages will change, as rehearsed.

    The run ends and waits; nothing is held meanwhile. `approve RUN` answers for them, and the run
    goes on with `resume RUN`. Nothing but what was agreed to is published: same versions, same
    packages, on the same site. Stands in a stage of its own; changes nothing.
    """

    convergent: ClassVar[bool] = False
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "rerun"
    observes: ClassVar[bool] = True

    by: str = param(
        "Who has to agree, as the run shows it.",
        default="client",
        examples=["client", "head of the agency"],
        minLength=1,
    )
    within: str = param(
        "How long they have. After that the run gives up, and nothing is published.",
        default="5 days",
        examples=["5 days", "36h", "2 weeks"],
        pattern=r"^[1-9][0-9]{0,3} ?(min|minutes?|m|hours?|h|days?|d|weeks?|w)$",
        patternErrorMessage="must be a number of minutes, hours, days or weeks",
    )
    note: str = param(
        "What they are told besides the list of changes.",
        default="",
        examples=["The new look is on the staging site."],
    )

    def plan(self, site: Site, seen: None) -> Iterator[Change]:
        yield Change(
            what=f"approval by {self.by}",
            after=f"within {self.within}",
            do=Await(self.by, seconds_of(self.within), self.note),
        )


def seconds_of(span: str) -> float:
    """Return how many seconds a length of time has.

    >>> [seconds_of(one) for one in ("90 min", "36h", "1 day", "2 weeks")]
    [5400.0, 129600.0, 86400.0, 1209600.0]
    """
    number, unit = re.findall(r"\d+|[a-z]+", span)
    return float(number) * _UNITS[unit[0]]
