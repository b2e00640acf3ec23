"""Reads what the scripts answer. Plugins print what they like: only what stands between marks counts."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from opsplay.core.drivers import Facts, LogPosition, Module, Offer
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.core.version import order, same_series

_FACTS = re.compile(r"@@opsplay@@(\{.*\})@@end@@")
_UNFINISHED = "@@unfinished@@\n"


@lru_cache(maxsize=64)  # several steps ask for the same facts
def read_facts(answer: Answer) -> Facts:
    """Return the facts between the marks. Raises UnreadableAnswer when there are none."""
    found = _FACTS.search(answer.stdout)
    if found is None or not answer.ok or _UNFINISHED not in answer.stdout:
        raise UnreadableAnswer(f"WordPress could not be asked: {_reason(answer)}")
    data = json.loads(found[1])
    modules = tuple(sorted(map(_module, data["modules"]), key=lambda module: module.name))
    boot_error = re.search(r"^boot_error=(.*)$", answer.stdout, re.MULTILINE)
    return Facts(
        version=data["version"],
        database_version=data["database_version"],
        wanted_database_version=data["wanted_database_version"],
        modules=modules,
        offers=_newer(data["version"], data["offers"]),
        source_error=data["source_error"],
        boot_error=boot_error[1] if boot_error else "",
        php_version=data["php_version"],
        withheld=tuple(sorted(data["withheld"])),
        unfinished=_unfinished(answer.stdout, data["version"], modules),
    )


def _unfinished(text: str, core: str, modules: tuple[Module, ...]) -> MappingProxyType[str, Offer]:
    """Return what the marks say. Somebody who went on to a newer version has finished it for us."""
    lines = text.rpartition(_UNFINISHED)[2].splitlines()
    found = {f"module:{module.name}": module.version for module in modules} | {"core": core}
    marks = zip(lines[::3], lines[1::3], lines[2::3], strict=True)
    return MappingProxyType(
        {
            key: Offer(version, package)
            for key, version, package in marks
            if order(found.get(key, version)) <= order(version)
        }
    )


def read_closed(answer: Answer) -> bool:
    """Return whether visitors are kept out. Raises UnreadableAnswer."""
    return _word(answer, yes="closed", no="open")


def read_safe(answer: Answer) -> bool:
    """Return whether the environment bears the marks of a safe clone. Raises UnreadableAnswer."""
    return _word(answer, yes="safe", no="unsafe")


def read_log(answer: Answer) -> LogPosition:
    """Return path and size of the error log. Raises UnreadableAnswer."""
    size, _, path = answer.stdout.strip("\n").partition(" ")
    if not answer.ok or not size.isdigit():
        raise UnreadableAnswer(f"the error log could not be asked for: {_reason(answer)}")
    return LogPosition(path, int(size))


def _word(answer: Answer, *, yes: str, no: str) -> bool:
    word = answer.stdout.strip()
    if not answer.ok or word not in {yes, no}:
        raise UnreadableAnswer(f"neither {yes!r} nor {no!r} was answered: {_reason(answer)}")
    return word == yes


def _reason(answer: Answer) -> str:
    lines = [line for line in answer.stderr.splitlines() if line.strip()]
    last = lines[-1].removeprefix("opsplay: ") if lines else "no answer"
    return f"{last} (exit status {answer.exit_status})"


def _module(data: dict[str, Any]) -> Module:
    offers = _newer(data["version"], [data["offer"]] if data["offer"] else [], series_parts=1)
    return Module(
        name=data["name"],
        version=data["version"],
        active=data["active"],
        title=data["title"],
        offer=offers[0] if offers else None,
    )


def _newer(
    version: str, offers: list[dict[str, str]], *, series_parts: int = 2
) -> tuple[Offer, ...]:
    # Core counts 6.4 and 6.5 as two major versions; plugins count the first number, as WP-CLI does.
    newer = [one for one in offers if order(one["version"]) > order(version)]
    return tuple(
        Offer(
            one["version"],
            one["package"],
            "minor" if same_series(version, one["version"], series_parts) else "major",
        )
        for one in sorted(newer, key=lambda offer: order(offer["version"]))
    )
