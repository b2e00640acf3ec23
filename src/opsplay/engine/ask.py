"""Put questions to hosts: one script and one round trip a host, all hosts at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from opsplay.core.environment import Host
from opsplay.core.errors import OpsplayError, Unreachable
from opsplay.core.query import Answer, Asked
from opsplay.core.transport import Transport
from opsplay.engine.probe import bundle, unbundle

ASKING_TIMEOUT = 300.0
"""Seconds; a CMS on a cheap host that asks its update server can take long."""


@dataclass(frozen=True)
class Question:
    """What the host of one environment of one site is asked."""

    site: str
    environment: str
    host: Host
    asked: Asked


Answers = Mapping[Question, Answer | OpsplayError]


Declare = Callable[[Transport, str], None]
"""Called with each script of questions before it is sent: a dry run lets nothing else through."""


def undeclared(_transport: Transport, _script: str) -> None:
    """Declare nothing: the transport lets everything through."""


def ask(
    questions: Iterable[Question],
    transport: Callable[[Host], Transport],
    declare: Declare = undeclared,
    meanwhile: Callable[[], object] = tuple,
) -> Answers:
    """Return the answer to each question, or the error that kept its host from answering.

    `meanwhile` is called while the hosts are being asked: waiting is the time for it.
    """
    by_host: dict[Host, list[Question]] = {}
    for question in dict.fromkeys(questions):
        by_host.setdefault(question.host, []).append(question)
    if not by_host:
        return {}
    with ThreadPoolExecutor(max_workers=min(50, len(by_host))) as pool:
        found = pool.map(
            lambda item: _ask_host(transport(item[0]), item[1], declare), by_host.items()
        )
        meanwhile()
        return {question: answer for part in found for question, answer in part.items()}


def _ask_host(transport: Transport, questions: list[Question], declare: Declare) -> Answers:
    everything = list(dict.fromkeys(question.asked for question in questions))
    first = {script: number for number, (script, _) in reversed(list(enumerate(everything)))}
    everything.sort(key=lambda asked: first[asked[0]])  # those that share a script go together
    script, mark = bundle(everything)
    declare(transport, script)
    try:
        raw = transport.run(script, timeout=ASKING_TIMEOUT)
        found = unbundle(raw, mark, len(everything))
        answers = dict(zip(everything, found, strict=True))
    except OpsplayError as error:
        return dict.fromkeys(questions, error)
    except TimeoutError:
        silent = Unreachable(
            f"host {transport.host} did not answer within {ASKING_TIMEOUT:.0f} s",
            state="nothing was changed",
            next_command=f"ssh {transport.host.address} true",
        )
        return dict.fromkeys(questions, silent)
    return {question: answers[question.asked] for question in questions}
