"""What a person says about acts that nobody knows the end of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from opsplay.core.errors import InvalidInput
from opsplay.core.event import Event
from opsplay.journal import Journal

Answer: TypeAlias = Literal["done", "redo"]


def open_questions(journal: Journal, run: str) -> dict[str, Event]:
    """Return the question that waits for an answer, by site."""
    waiting: dict[str, Event] = {}
    for event in journal.events(run, kinds=("question", "answered", "site_finished")):
        if event.kind == "question":
            waiting[event.site] = event
        elif event.kind == "answered" or event.data["state"] != "unknown":
            waiting.pop(event.site, None)
    return waiting


def check_answers(journal: Journal, run: str, answers: Mapping[str, Answer]) -> None:
    """Insist that each answer has a question. Raises InvalidInput; nothing is written."""
    waiting = open_questions(journal, run)
    for site in answers:
        if site not in waiting:
            asked = ", ".join(sorted(waiting)) or "none"
            cause = f"run {run} asks nothing about {site!r} (sites with an open question: {asked})"
            raise InvalidInput(cause, next_command=f"invoke logs {run}")


def write_answers(journal: Journal, run: str, answers: Mapping[str, Answer], user: str) -> None:
    """Journal what a person said."""
    waiting = open_questions(journal, run)
    for site, answer in answers.items():
        asked = waiting[site].data
        data = {"stage": asked["stage"], "intent": asked["intent"], "answer": answer, "user": user}
        journal.append(run, "answered", site, data)
