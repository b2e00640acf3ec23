"""The journal's events of one run, put together: what happened to each site. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from opsplay.core.event import Event, State
from opsplay.reports.drills import Drills, with_drill


@dataclass(frozen=True)
class ActStory:
    """One change that was meant, and what became of it."""

    sequence: int
    """Of the intent; results and undos name it."""
    stage: str
    environment: str
    step: int
    what: str
    before: str = ""
    after: str = ""
    loses: str = ""
    key: str = ""
    outcome: str = ""
    """`done`, `failed`, `unknown`; empty while under way or when the run was cut."""
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    looks: bool = False
    """Whether it only looked (a smoke test)."""
    covered: bool = False
    """Whether the stage's restore point takes it back."""
    reversible: bool = False
    """Whether a later rollback can take it back."""
    undone: str = ""
    """Outcome of its undo; empty when nobody took it back."""


@dataclass(frozen=True)
class StepStory:
    """One step as it ended."""

    stage: str
    environment: str
    index: int
    kind: str
    name: str
    state: str = State.UNKNOWN
    detail: str = ""
    changes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class SiteStory:
    """What happened to one site."""

    name: str
    state: str = State.UNKNOWN
    """`unknown` while under way or when the run was cut."""
    detail: str = ""
    downtime_seconds: float | None = None
    steps: tuple[StepStory, ...] = ()
    acts: tuple[ActStory, ...] = ()
    put_back: tuple[str, ...] = ()
    """What was taken back, in the order in which it was."""
    rollback_reason: str = ""
    retries: int = 0
    alarms: tuple[str, ...] = ()
    undoing: tuple[str, str] = ("", "")
    """What is being taken back just now, and in which environment."""
    waiting: Mapping[str, Any] = field(default_factory=dict)
    """What it waits for: `stage`, `reason`, `until` (ISO, or empty); empty when it does not."""
    drills: Drills = ()
    approvals: tuple[Event, ...] = ()
    """Who was asked, and who answered what, in order."""

    @property
    def snapshots(self) -> tuple[Mapping[str, Any], ...]:
        """Return the facts of every snapshot that was taken: `snapshot`, `bytes`."""
        return tuple(act.facts for act in self.acts if _took_snapshot(act))

    @property
    def lasting(self) -> tuple[ActStory, ...]:
        """Return what was done to production and still holds."""
        return tuple(
            act
            for act in self.acts
            if act.environment == "production"
            and act.outcome == "done"
            and not act.undone
            and act.after
            and act.reversible
            and not act.looks
            and not _took_snapshot(act)
        )

    @property
    def failure(self) -> StepStory | None:
        """Return the first step that failed, if any."""
        bad = {State.FAILED, State.UNREACHABLE, State.ROLLED_BACK}
        return next((step for step in self.steps if step.state in bad), None)


@dataclass(frozen=True)
class RunStory:
    """One run, from its events alone."""

    run: str = ""
    playbook: str = ""
    command: str = ""
    started: datetime | None = None
    finished: datetime | None = None
    exit_status: int | None = None
    """None while the run is under way, or when it was cut."""
    state: str = ""
    round_trips: Mapping[str, int] = field(default_factory=dict)
    sites: Mapping[str, SiteStory] = field(default_factory=dict)
    file: str = ""
    stopped: tuple[str, ...] = ()
    """The sites whose failure stopped the line."""

    @property
    def seconds(self) -> float:
        """Return how long the run took; 0 while it has not ended."""
        if self.started is None or self.finished is None:
            return 0.0
        return (self.finished - self.started).total_seconds()


def _took_snapshot(act: ActStory) -> bool:
    # A restore names its snapshot too, but stores no bytes.
    return "snapshot" in act.facts and "bytes" in act.facts


def tell(events: Iterable[Event]) -> RunStory:
    """Return the story of a run; `events` are in the journal's order, one run only."""
    story, stages = RunStory(), dict[str, tuple[str, str]]()
    sites: dict[str, SiteStory] = {}
    for event in events:
        if event.kind == "stage_started":
            stages[event.site] = (_word(event, "stage"), _word(event, "environment"))
        if event.site:
            known, stage = sites.get(event.site), stages.get(event.site, ("", ""))
            sites[event.site] = _site(known or SiteStory(event.site), event, stage)
        else:
            story = _run(story, event)
    return replace(story, sites=dict(sorted({**story.sites, **sites}.items())))


def _run(story: RunStory, event: Event) -> RunStory:
    match event.kind:
        case "run_started":
            names = [str(name) for name in event.data.get("sites", ())]
            return replace(
                story,
                run=event.run,
                playbook=_word(event, "playbook"),
                command=_word(event, "command"),
                file=_word(event, "file"),
                started=event.at,
                sites={name: SiteStory(name) for name in names},
            )
        case "run_finished":
            return replace(
                story,
                finished=event.at,
                exit_status=int(event.data.get("exit_status", 1)),
                state=_word(event, "state"),
                round_trips=round_trips_of(event),
            )
        case "run_resumed":
            return replace(story, finished=None, exit_status=None, state="", stopped=())
        case "line_stopped":
            return replace(story, stopped=tuple(event.data["failed"]))
        case _:
            return story


def round_trips_of(event: Event) -> Mapping[str, int]:
    """Return host → round trips as a `run_finished` event tells it."""
    told = event.data.get("round_trips", {})
    return dict(sorted(told.items())) if isinstance(told, Mapping) else {"all hosts": int(told)}


def _site(site: SiteStory, event: Event, stage: tuple[str, str]) -> SiteStory:  # noqa: C901, PLR0912 - a line a kind
    data = event.data
    news: dict[str, Any] = {}
    match event.kind:
        case "intent":
            news["acts"] = (*site.acts, _act(event, stage))
        case "result":
            news["acts"] = _with_act(site.acts, data.get("intent"), **_result(data))
        case "retry":
            news["retries"] = site.retries + 1
        case "alarm":
            news["alarms"] = (*site.alarms, _word(event, "told"))
        case "step_finished":
            news["steps"] = _with_step(site.steps, _step(event, stage))
        case "waiting":
            news["waiting"] = data
        case "drill_measured" | "drill_verdict":
            news["drills"] = with_drill(site.drills, event)
        case "approval_asked" | "approved" | "refused":
            news["approvals"] = (*site.approvals, event)
        case "site_started":
            news["waiting"] = {}
        case "rollback_started":
            news["rollback_reason"] = _word(event, "reason")
        case "undo_intent":
            news["undoing"] = (_word(event, "what"), _word(event, "environment"))
        case "undo_result":
            news = _undone(site, data)
        case "site_finished":
            news = {"state": _word(event, "state"), "detail": _word(event, "detail")}
            news["downtime_seconds"] = data.get("downtime_seconds")
            news["waiting"] = site.waiting if news["state"] == State.WAITING else {}
        case _:
            pass
    return replace(site, **news) if news else site


def _result(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "outcome": str(data.get("outcome", "")),
        "detail": str(data.get("detail", "")),
        "facts": data.get("facts") or {},
        "seconds": float(data.get("seconds") or 0),
    }


def _undone(site: SiteStory, data: Mapping[str, Any]) -> dict[str, Any]:
    what, environment = site.undoing
    if str(data.get("outcome", "done")) != "done":
        return {"undoing": ("", "")}
    of = data.get("of")
    taken = [act for act in site.acts if act.sequence == of] or [
        # What is undone is no act but the restore point: it takes back all that it covers.
        act
        for act in site.acts
        if act.covered and act.environment == environment and act.outcome
    ]
    acts = tuple(replace(act, undone="done") if act in taken else act for act in site.acts)
    back = [f"{act.what} (back to {act.before})" if act.before else act.what for act in taken]
    return {"acts": acts, "put_back": (*site.put_back, *(back or [what])), "undoing": ("", "")}


def _act(event: Event, stage: tuple[str, str]) -> ActStory:
    return ActStory(
        event.sequence,
        _word(event, "stage") or stage[0],
        _word(event, "environment") or stage[1],
        int(event.data.get("step") or 0),
        what=_word(event, "what"),
        before=_word(event, "before"),
        after=_word(event, "after"),
        loses=_word(event, "loses"),
        key=_word(event, "key"),
        looks=only_looks(event.data),
        covered=bool(event.data.get("covered")),
        reversible=bool(event.data.get("covered") or event.data.get("undo")),
    )


def only_looks(intent: Mapping[str, Any]) -> bool:
    """Return whether the act of an intent's data changes nothing."""
    return (intent.get("action") or {}).get("action") in {"Visit", "Verify"}


def _with_act(acts: tuple[ActStory, ...], sequence: Any, **news: Any) -> tuple[ActStory, ...]:
    return tuple(replace(act, **news) if act.sequence == sequence else act for act in acts)


def _step(event: Event, stage: tuple[str, str]) -> StepStory:
    return StepStory(
        stage=_word(event, "stage") or stage[0],
        environment=stage[1],
        index=int(event.data.get("step") or 0),
        kind=_word(event, "kind"),
        name=_word(event, "name") or _word(event, "kind"),
        state=_word(event, "state") or State.UNKNOWN,
        detail=_word(event, "detail"),
        changes=len(event.data.get("changes") or ()),
        seconds=float(event.data.get("seconds") or 0),
    )


def _with_step(steps: tuple[StepStory, ...], new: StepStory) -> tuple[StepStory, ...]:
    # After a resume the same step ends a second time: the last word holds.
    kept = tuple(old for old in steps if (old.stage, old.index) != (new.stage, new.index))
    return (*kept, new)


def _word(event: Event, name: str) -> str:
    value = event.data.get(name)
    return "" if value is None else str(value)
