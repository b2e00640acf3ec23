"""What the journal says has happened to one site in one run; the basis of resume and undo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from opsplay.core.event import Event, State

UNFINISHED = (State.UNREACHABLE, State.UNKNOWN, State.WAITING, State.SKIPPED)
"""States of a site that a resume takes up again. Skipped: the line stopped before its turn."""


@dataclass
class StageHistory:
    """One stage as far as it came. Sequence numbers are the journal's."""

    name: str
    state: State | None = None
    ended: str = ""
    """Why it ended as it did, once it has a state."""
    finished_steps: dict[int, Event] = field(default_factory=dict)
    intents: list[Event] = field(default_factory=list)
    results: dict[int, Event] = field(default_factory=dict)
    """By the sequence number of the intent."""
    opened: dict[str, Event] = field(default_factory=dict)
    """Bracket → the event that began to open it, for brackets that are open."""
    restore_point: Event | None = None
    """The event that says the restore point is complete."""
    begun: list[Event] = field(default_factory=list)
    """Jobs begun for brackets and undo whose end is not journalled."""
    verdict: State | None = None
    """Set once the brackets began to close: nothing may be done or undone after that."""
    detail: str = ""
    locked: bool = False
    baseline: Event | None = None
    rollback: Event | None = None
    rollback_end: Event | None = None
    door_closed: bool = False
    """Whether it was read back that visitors are kept out."""
    undone: set[int] = field(default_factory=set)
    questions: set[int] = field(default_factory=set)
    """Intents of which a person was asked whether they were done."""
    answers: dict[int, Event] = field(default_factory=dict)
    """Intent → what the person said."""

    @property
    def started(self) -> bool:
        """Return whether anything was done on the host, or may have been."""
        return self.locked or bool(self.begun or self.intents)

    @property
    def half_done(self) -> bool:
        """Return whether it was begun on the host and has no end yet."""
        return self.started and self.state is None

    @property
    def went_back(self) -> bool:
        """Return whether all that the stage did was undone again."""
        end = self.rollback_end
        return end is not None and end.data["state"] == State.ROLLED_BACK

    @property
    def stands(self) -> bool:
        """Return whether anything that was changed here is still as it was left."""
        return not self.went_back and any(self.outcome(one) != "failed" for one in self.intents)

    @property
    def unresolved(self) -> tuple[Event, ...]:
        """Return the intents whose result is not known."""
        return tuple(one for one in self.intents if self.outcome(one) == "unknown")

    def outcome(self, intent: Event) -> str:
        """Return `done`, `failed` or `unknown`."""
        result = self.results.get(intent.sequence)
        return "unknown" if result is None else str(result.data["outcome"])

    def done_before(self, step: int, change: int) -> Event | None:
        """Return the result that says a change of a step was done, if any."""
        done = [
            self.results[one.sequence]
            for one in self.intents
            if (one.data["step"], one.data["change"]) == (step, change)
            and self.outcome(one) == "done"
        ]
        return done[-1] if done else None

    def unknown_before(self, step: int, change: int) -> Event | None:
        """Return the newest intent of a change if nobody knows what came of it."""
        tried = [
            one for one in self.intents if (one.data["step"], one.data["change"]) == (step, change)
        ]
        return tried[-1] if tried and self.outcome(tried[-1]) == "unknown" else None


@dataclass
class SiteHistory:
    """All stages of a site, and whether the site is finished with."""

    stages: dict[str, StageHistory] = field(default_factory=dict)
    state: State | None = None
    exit_status: int = 0
    detail: str = ""

    @property
    def half_done(self) -> bool:
        """Return whether the site was left in the middle of a stage."""
        return any(stage.half_done for stage in self.stages.values())

    def stage(self, name: str) -> StageHistory:
        """Return the history of a stage, empty when it never began."""
        return self.stages.setdefault(name, StageHistory(name))


def history_of(events: Iterable[Event], site: str) -> SiteHistory:
    """Return what happened to `site`. Pure: events in, history out."""
    history = SiteHistory()
    current = StageHistory("")
    for event in events:
        if event.site != site:
            continue
        if event.kind == "stage_started":
            current = history.stage(str(event.data["stage"]))
        elif event.kind == "site_finished":
            state = State(event.data["state"])
            history.state = None if state in UNFINISHED else state
            history.exit_status = int(event.data.get("exit_status", 0))
            history.detail = str(event.data.get("detail", ""))
        else:
            _note(current, event)
    return history


def _note(stage: StageHistory, event: Event) -> None:  # noqa: C901, PLR0912 - one line a kind
    data = event.data
    match event.kind:
        case "stage_finished":
            stage.state, stage.ended = State(data["state"]), str(data.get("detail", ""))
        case "step_finished":
            stage.finished_steps[int(data["step"])] = event
        case "intent":
            stage.intents.append(event)
        case "result":
            stage.results[int(data["intent"])] = event
        case "lock_taking" | "lock_taken":
            stage.locked = True
        case "lock_refused" | "lock_freed":
            stage.locked = False
        case "bracket_opening":
            stage.begun.append(event)
            stage.opened.setdefault(str(data["bracket"]), event)
        case "bracket_opened" if data["bracket"] == "restore point":
            stage.restore_point = event
        case "bracket_opened":
            stage.door_closed = True
        case "bracket_closing":
            stage.begun.append(event)
            if (verdict := State(data["verdict"])) != State.UNKNOWN:
                stage.verdict, stage.detail = verdict, str(data.get("detail", ""))
        case "bracket_closed":
            stage.opened.pop(str(data["bracket"]), None)
            stage.door_closed = False
        case "baseline":
            stage.baseline = event
        case "rollback_started":
            stage.rollback, stage.rollback_end = event, None
        case "undo_intent":
            stage.begun.append(event)
        case "undo_result":
            if data["outcome"] == "done":
                stage.undone.add(int(data["of"]))
        case "rollback_finished":
            stage.rollback_end = event
        case "question":
            stage.questions.add(int(data["intent"]))
        case "answered":
            stage.answers[int(data["intent"])] = event
        case _:
            pass
