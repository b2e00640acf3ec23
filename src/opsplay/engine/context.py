"""What the parts of one site's execution share: the site, the run, and what is known by now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsplay.core.errors import ExitStatus, UnreadableAnswer
from opsplay.core.event import Event, EventKind
from opsplay.core.playbook import Playbook
from opsplay.core.query import Answer, Query, T
from opsplay.core.site import Site
from opsplay.core.transport import Transport
from opsplay.core.vault import VaultSettings
from opsplay.engine.ask import Question, ask
from opsplay.engine.fence import Fence
from opsplay.engine.history import SiteHistory
from opsplay.engine.job import Job, run_directory
from opsplay.engine.plan import PlannedStage
from opsplay.engine.tools import Tools
from opsplay.engine.trust import Trust

PASS_HEADER = "X-Opsplay-Pass"  # noqa: S105 - the name of a header
RESET_HEADER = "X-Opsplay-Reset"


@dataclass
class Context:
    """One site in one run. Used by one thread."""

    tools: Tools
    run: str
    playbook: Playbook
    site: Site
    history: SiteHistory
    known: dict[Question, Answer] = field(default_factory=dict)
    """Answers that still hold: nothing was done to their environment since."""
    registered: dict[str, Any] = field(default_factory=dict)
    brought: dict[tuple[str, str], dict[str, Mapping[str, str]]] = field(default_factory=dict)
    """(step kind, environment) → change key → what that change brought there in this run."""
    fences: dict[str, Fence] = field(default_factory=dict)
    """Environment whose lock this run holds → what its acts there have to prove."""
    downtime: float = 0.0
    """Seconds for which visitors were kept out."""
    stages: tuple[PlannedStage, ...] = ()
    """The plan's stages: what an approval is asked for."""
    failed_as: ExitStatus = ExitStatus.FAILED
    """The exit status that a failed stage gives the site."""
    left_out: set[tuple[str, int]] = field(default_factory=set)
    """(stage, step) of the steps that were skipped."""

    done_to: set[str] = field(default_factory=set)
    """Environments to which something was done since they were planned."""
    noted: list[tuple[EventKind, str, Mapping[str, Any]]] = field(default_factory=list)
    """Events that wait for the next one that matters."""
    alarmed: set[str] = field(default_factory=set)
    """What somebody was told to look at."""

    def write(self, kind: EventKind, /, **data: Any) -> Event:
        """Journal one event of this site, together with those noted before; it is on disk now."""
        self.note(kind, **data)
        return self.flush()[-1]

    def note(self, kind: EventKind, /, **data: Any) -> None:
        """Keep one event of this site for the journal until the next one is written.

        For what nothing depends on: if the run is cut short here, nothing was done that anybody
        would have to know of. So a site with nothing to change costs one write to the disk.
        """
        self.noted.append((kind, self.site.name, data))

    def unsay(self, kind: EventKind) -> None:
        """Drop the event noted last if it is of this kind: what came of it says as much."""
        if self.noted and self.noted[-1][0] == kind:
            self.noted.pop()

    def alarm(self, told: str) -> None:
        """Journal what somebody has to look at, once."""
        if told not in self.alarmed:
            self.alarmed.add(told)
            self.write("alarm", told=told)

    def trust(self, settings: VaultSettings) -> Trust:
        """Return who is believed of what lies in a vault; what is passed over is an alarm."""
        return Trust(self.tools.trusted(settings), self.tools.clock.now(), self.alarm)

    def flush(self) -> tuple[Event, ...]:
        """Write what was noted, in one go, and return it; it is on disk now."""
        entries, self.noted = self.noted, []
        return self.tools.record.append_all(self.run, entries)

    def at(self, environment: str) -> Site:
        """Return the site seen from an environment."""
        return self.site.at(environment)

    def scope(self) -> Mapping[str, Any]:
        """Return the names that templates may use now."""
        return self.tools.language.scope(self.playbook, self.site, self.registered)

    def transport(self, environment: str) -> Transport:
        """Return the line to the host of an environment."""
        return self.tools.transport(self.at(environment).here.host)

    def ask(self, environment: str, query: Query[T], also: Iterable[Query[Any]] = ()) -> T:
        """Return what a query says, from what is known or from the host.

        `also`: what will be asked next; where the host has to be asked, it is in the same breath.
        """
        if not query.script:
            return query.read(Answer(0))
        question = self._question(environment, query)
        if question not in self.known:
            self.flush()  # the host may take its time: who looks on sees what it is asked for
            more = [self._question(environment, one) for one in also if one.script]
            self._find_out(question, [one for one in more if one not in self.known])
        return query.read(self.known[question])

    def asking(self, environment: str, queries: Iterable[Query[Any]]) -> list[Question]:
        """Return the questions that queries put to the host of an environment, each once."""
        asked = (self._question(environment, one) for one in queries if one.script)
        return list(dict.fromkeys(asked))

    def _question(self, environment: str, query: Query[Any]) -> Question:
        here = self.at(environment).here
        return Question(self.site.name, environment, here.host, query.asked)

    def _find_out(self, question: Question, more: Sequence[Question]) -> None:
        answers = ask([question, *more], self.tools.transport)
        if more and isinstance(answers[question], UnreadableAnswer):
            answers = ask([question], self.tools.transport)  # one of the others may have spoilt it
        for asked, answer in answers.items():
            if isinstance(answer, Answer):
                self.known[asked] = answer
            elif asked == question:
                raise answer

    def remember(self, kind: str, environment: str, change: Mapping[str, str]) -> None:
        """Note what a step brought to an environment, for `to: rehearsed`."""
        if not change.get("key"):
            return
        known = self.brought.setdefault((kind, environment), {})
        before = known.get(change["key"], {})
        # Only its database was left to migrate: the package is still the one that brought it.
        if not change["package"] and before.get("version") == change["version"]:
            change = {**change, "package": before.get("package", "")}
        known[change["key"]] = change

    def held(self, kind: str, environment: str) -> None:
        """Note that a step of this kind was carried out, whether or not it had to change anything."""
        self.brought.setdefault((kind, environment), {})

    def rehearsal(self, kind: str, environment: str) -> list[Mapping[str, str]] | None:
        """Return what steps of this kind brought elsewhere in this run; None without a rehearsal."""
        for (other_kind, other), changes in self.brought.items():
            if other_kind == kind and other != environment:
                return list(changes.values())
        return None

    def forget(self, environment: str) -> None:
        """Drop what was known of an environment: something was done to it."""
        self.done_to.add(environment)
        self.known = {
            question: answer
            for question, answer in self.known.items()
            if question.environment != environment
        }

    def job(self, environment: str, stage: str, sequence: int, run: str = "") -> Job:
        """Return the job of a journalled act; `run`: whose directory of that stage it works in."""
        directory = run_directory(run or self.run, self.site.name, environment, stage)
        transport = self.transport(environment)
        fence = self.fences.get(environment)
        return Job(f"{self.run}-{sequence}", directory, transport, self.tools, fence=fence)


@dataclass(frozen=True)
class Surroundings:
    """What an act needs to know of its stage."""

    environment: str
    stage: str
    headers: Mapping[str, str]
    """Headers that pass the closed door; empty when it is open."""
    baseline: Mapping[str, Any] | None
    """How pages and log stood before the stage; see `watch.baseline`."""
    touched: bool = False
    """Whether the stage changes anything, so that caches may still hold old code."""
    step: int = -1
    """Which step of the stage acts, from 0."""
