"""What the parts of one site's execution share: the site, the run, and what is known by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opsplay.core.event import Event, EventKind
from opsplay.core.playbook import Playbook
from opsplay.core.query import Answer, Query, T
from opsplay.core.site import Site
from opsplay.core.transport import Transport
from opsplay.engine.ask import Question, ask
from opsplay.engine.history import SiteHistory
from opsplay.engine.job import Job, run_directory
from opsplay.engine.tools import Tools

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
    downtime: float = 0.0
    """Seconds for which visitors were kept out."""

    def write(self, kind: EventKind, /, **data: Any) -> Event:
        """Journal one event of this site."""
        return self.tools.record.append(self.run, kind, self.site.name, data)

    def at(self, environment: str) -> Site:
        """Return the site seen from an environment."""
        return self.site.at(environment)

    def scope(self) -> Mapping[str, Any]:
        """Return the names that templates may use now."""
        return self.tools.language.scope(self.playbook, self.site, self.registered)

    def transport(self, environment: str) -> Transport:
        """Return the line to the host of an environment."""
        return self.tools.transport(self.at(environment).here.host)

    def ask(self, environment: str, query: Query[T]) -> T:
        """Return what a query says, from what is known or from the host."""
        if not query.script:
            return query.read(Answer(0))
        site = self.at(environment)
        question = Question(site.name, environment, site.here.host, query.script)
        if question not in self.known:
            answer = ask([question], self.tools.transport)[question]
            if isinstance(answer, Exception):
                raise answer
            self.known[question] = answer
        return query.read(self.known[question])

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
        self.known = {
            question: answer
            for question, answer in self.known.items()
            if question.environment != environment
        }

    def job(self, environment: str, stage: str, sequence: int, run: str = "") -> Job:
        """Return the job of a journalled act; `run`: whose directory of that stage it works in."""
        directory = run_directory(run or self.run, self.site.name, environment, stage)
        transport = self.transport(environment)
        return Job(f"{self.run}-{sequence}", directory, transport, self.tools)


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
