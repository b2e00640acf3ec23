"""What the journal says of schedules: what was started when, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

from opsplay.core.event import Event, EventKind, State
from opsplay.core.schedule import Past, Schedule, Standing
from opsplay.engine.schedule import offset, standing

KINDS: tuple[EventKind, ...] = (
    "schedule_seen", "run_started", "run_resumed", "run_finished", "site_started",
    "site_finished", "waiting", "approval_asked", "approved", "refused", "drill_verdict",
)  # fmt: skip
"""The kinds of events that schedules have to do with."""
RUN = "schedule"
"""What `schedule_seen` has in place of a run."""
UNFINISHED = "unfinished"
_GOOD = frozenset({State.OK, State.CHANGED})
_FORM = "%Y-%m-%dT%H:%MZ"


def slot_id(name: str, at: datetime) -> str:
    """Return the name of a moment of a schedule, as `run_started` carries it.

    >>> slot_id("drill", datetime(2026, 10, 1, 1, 0, tzinfo=UTC))
    'drill@2026-10-01T01:00Z'
    """
    return f"{name}@{at.astimezone(UTC):{_FORM}}"


def moment_of(slot: str) -> tuple[str, datetime]:
    """Return name and moment of a `slot_id`.

    >>> moment_of("drill@2026-10-01T01:00Z")
    ('drill', datetime.datetime(2026, 10, 1, 1, 0, tzinfo=datetime.timezone.utc))
    """
    name, _, at = slot.rpartition("@")
    return name, datetime.strptime(at, _FORM).replace(tzinfo=UTC)


def rival(events: Iterable[Event], run: str) -> str:
    """Return the run that began this run's slot on one of its sites before it; empty if none.

    The journal has one order for all controllers: of two that begin the same slot in the same
    moment, the second sees the first. `events`: at least every `run_started` and `run_finished`.
    """
    read = list(events)
    yielded = {one.run for one in read if one.data.get("yielded_to")}
    starts = [one for one in read if one.kind == "run_started" and one.data.get("slot")]
    own = next(one for one in starts if one.run == run)
    for other in starts:
        if other.sequence >= own.sequence:
            break
        same = other.data["slot"] == own.data["slot"] and other.run not in yielded
        if same and set(other.data["sites"]) & set(own.data["sites"]):
            return other.run
    return ""


@dataclass
class _Run:
    """One run of a scheduled playbook, as far as it came."""

    run: str
    name: str
    at: datetime
    sites: tuple[str, ...]
    slot: datetime | None
    states: dict[str, str] = field(default_factory=dict)

    def began(self, late: timedelta) -> datetime:
        """Return when the run began: for a slot's run when it was due, however late it came."""
        return self.at if self.slot is None else self.slot + late


@dataclass
class Records:
    """What was read from the journal, ready to be asked for one schedule on one site."""

    runs: dict[tuple[str, str], list[_Run]] = field(default_factory=dict)
    """(name, site) → the runs, oldest first."""
    seen: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)
    """(name, site) → the schedule's identity when it was last seen to be new, and that moment."""
    first: dict[str, datetime] = field(default_factory=dict)
    """Site → when it was first spoken of."""
    drilled: dict[str, datetime] = field(default_factory=dict)
    """Site → when its last successful drill ended."""

    def past(self, schedule: Schedule, name: str, site: str) -> Past:
        """Return what is known of one schedule on one site."""
        identity, since = self.seen.get((name, site), ("", None))
        runs = self.runs.get((name, site), [])
        late = offset(schedule, name, site)
        good = [one.began(late) for one in runs if one.states.get(site) in _GOOD]
        last = runs[-1] if runs else None
        return Past(
            known_since=since if identity == schedule.identity else None,
            started=frozenset(one.slot for one in runs if one.slot is not None),
            last_run=last.run if last else "",
            last_at=last.began(late) if last else None,
            last_state=last.states.get(site, UNFINISHED) if last else "",
            last_good=max(good, default=None),
        )

    def standing(self, schedule: Schedule, name: str, site: str, now: datetime) -> Standing:
        """Return how a schedule stands on a site."""
        return standing(schedule, name, site, self.past(schedule, name, site), now)


def records(events: Iterable[Event]) -> Records:
    """Return what the journal's events say, read once for all schedules."""
    found, runs = Records(), dict[str, _Run]()
    for event in events:
        _note_drills(found, event)
        match event.kind:
            case "schedule_seen":
                for site in event.data["sites"]:
                    key = str(event.data["name"]), str(site)
                    found.seen[key] = str(event.data["identity"]), event.at
            case "run_started" if run := _run(event):
                runs[event.run] = run
            case "site_finished" if event.run in runs:
                runs[event.run].states[event.site] = str(event.data["state"])
            case "run_finished" if event.data.get("yielded_to"):
                runs.pop(event.run, None)
            case _:
                pass
    for run in runs.values():
        for site in run.sites:
            found.runs.setdefault((run.name, site), []).append(run)
    return found


def _note_drills(found: Records, event: Event) -> None:
    """Note since when a site is known here, and its last successful drill."""
    for site in event.data.get("sites", ()):
        found.first.setdefault(str(site), event.at)
    if event.kind == "drill_verdict" and event.data["verdict"] == "SUCCESSFUL":
        found.drilled[event.site] = event.at


def _run(event: Event) -> _Run | None:
    """Return the run that begins, if it is all of a playbook: with tags it is not."""
    data = event.data
    sites = tuple(map(str, data.get("sites", ())))
    if slot := str(data.get("slot", "")):
        name, moment = moment_of(slot)
        return _Run(event.run, name, event.at, sites, moment)
    if data.get("command") != "run" or data.get("tags"):
        return None
    return _Run(event.run, PurePath(str(data.get("file", ""))).stem, event.at, sites, None)


def unseen(
    found: Records, schedules: Mapping[str, tuple[Schedule, Iterable[str]]]
) -> Iterator[dict[str, object]]:
    """Yield the data of a `schedule_seen` for each schedule that is new somewhere, or changed."""
    for name, (schedule, sites) in sorted(schedules.items()):
        identity = schedule.identity
        new = [site for site in sites if found.seen.get((name, site), ("",))[0] != identity]
        if new:
            yield {"name": name, "sites": new, "identity": identity}
