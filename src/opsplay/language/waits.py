"""What makes a run wait: `window:` of a stage, and its `approve` steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opsplay.core.errors import Problem
from opsplay.core.playbook import Place, Window
from opsplay.language.dialect import text
from opsplay.language.nodes import (
    Fields,
    Node,
    Scalar,
    fields_at,
    find,
    items_at,
    place_of_key,
    text_at,
)
from opsplay.language.problems import say
from opsplay.language.schema import Schema, kinds
from opsplay.language.suggest import did_you_mean
from opsplay.language.zones import is_zone, unknown_zone

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WORKING = (0, 1, 2, 3, 4)
_TIME = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
_HOURS = rf"{_TIME} ?- ?(?:{_TIME}|24:00)"
_DAY = 24 * 60
_ASKS = "approve"


def window_schema() -> Schema:
    """Return `window`: hours and a time zone as one text, or a group of settings."""
    return {
        "type": ["string", "object"],
        "pattern": rf"^{_HOURS} +[A-Za-z]\S*$",
        "patternErrorMessage": "must be hours and a time zone",
        "description": "When the stage may begin to change a site. Outside of it the run ends and "
        "waits. What was begun goes on to its end, and a rollback never waits.",
        "examples": ["22:00-05:00 Europe/Paris"],
        "properties": _settings(),
        "required": ["hours", "timezone"],
        "additionalProperties": False,
    }


def _settings() -> Schema:
    return {
        "hours": text(
            "From when until when. What goes on past midnight belongs to the day it begins on.",
            "22:00-05:00", pattern=f"^{_HOURS}$", words="must be two times of day",
        ),
        "timezone": text("Whose clocks are meant.", "Europe/Paris"),
        "days": {
            "type": ["array", "string"],
            "items": {"enum": list(DAYS)},
            "minItems": 1,
            "uniqueItems": True,
            "pattern": "^business$",
            "patternErrorMessage": f"must be business or a list of {', '.join(DAYS)}",
            "description": "Days on which it opens (every day); `business`: Monday to Friday, "
            "without the public holidays of `holidays`.",
            "examples": [["mon", "tue", "wed", "thu"], "business"],
        },
        "holidays": text(
            "Country on whose public holidays it does not open, or a part of one.", "FR", "DE-BY"
        ),
    }  # fmt: skip


def problems(stage: Node, earlier: tuple[Node, ...], later: tuple[Node, ...]) -> Iterator[Problem]:
    """Find what is wrong with the window and the approvals of a stage."""
    window = find(stage, ("window",))
    written = window if isinstance(window, Fields) else _as_fields(window)
    if isinstance(written, Fields):
        yield from _hours(written)
        yield from _zone(written)
        yield from _holidays(written)
    if _ASKS in _kinds(stage):
        yield from _alone(stage)
        yield from _after_the_rehearsal(stage, earlier, later)


def _as_fields(window: Node | None) -> Fields | None:
    """Return `22:00-05:00 Europe/Paris` as the group of settings that it stands for."""
    written = text_at(window)
    if window is None or written is None or not re.fullmatch(rf"{_HOURS} +\S+", written):
        return None
    nodes = {key: Scalar(value, window.place) for key, value in _split(written).items()}
    return Fields(nodes, dict.fromkeys(nodes, window.place), window.place)


def _split(written: str) -> dict[str, str]:
    hours, _, zone = written.rpartition(" ")
    return {"hours": hours.strip(), "timezone": zone}


def _hours(window: Fields) -> Iterator[Problem]:
    written, node = text_at(window, "hours"), find(window, ("hours",))
    if node and written and re.fullmatch(_HOURS, written):
        opens, closes = _minutes(written)
        if opens == closes:
            cause = "this window opens and closes at the same time"
            yield say(node.place, cause, "write 00:00-24:00 for the whole day")


def _zone(window: Fields) -> Iterator[Problem]:
    written, node = text_at(window, "timezone"), find(window, ("timezone",))
    if node and written and not is_zone(written):
        yield say(node.place, *unknown_zone(written))


def _holidays(window: Fields) -> Iterator[Problem]:
    country, node = text_at(window, "holidays"), find(window, ("holidays",))
    days = find(window, ("days",))
    if node and country and (wrong := country_problem(country)):
        yield say(node.place, *wrong)
    elif not node and days and text_at(window, "days") == "business":
        cause = "business days leave out public holidays, and no country is named"
        yield say(days.place, cause, "add 'holidays: FR' (or another country) to the window")


def country_problem(written: str) -> tuple[str, str] | None:
    """Return what is wrong with a country of holidays, and what to do; None when it is fine."""
    import holidays

    known = holidays.list_supported_countries()
    country, _, part = written.partition("-")
    if country not in known:
        named = getattr(getattr(holidays, written.title().replace(" ", ""), None), "country", "")
        near = named or (country.upper() if country.upper() in known else "")
        hint = f"did you mean '{near}'?" if near else "write its code of two letters, such as FR"
        return f"no public holidays are known for '{country}'", hint
    if part and part not in known[country]:
        hint = did_you_mean(part, known[country]) or f"write only {country}"
        return f"no public holidays are known for the part '{part}' of {country}", hint
    return None


def _kinds(stage: Node) -> list[str]:
    return [kind for step in items_at(stage, "steps") for kind in fields_at(step)]


def _alone(stage: Node) -> Iterator[Problem]:
    if (set(_kinds(stage)) & set(kinds())) - {_ASKS}:
        cause = "nothing is held while an approval is waited for, so nothing else can be done here"
        yield say(_asking(stage), cause, "put it in a stage of its own, before what it is for")
    if window := find(stage, ("window",)):
        cause = "an approval may be asked for at any hour"
        yield say(window.place, cause, "put 'window' on the stage that changes the site")


def _after_the_rehearsal(
    stage: Node, earlier: tuple[Node, ...], later: tuple[Node, ...]
) -> Iterator[Problem]:
    held = {kind for one in earlier for kind in _kinds(one)}
    wanted = {
        kind
        for one in later
        for step in items_at(one, "steps")
        for kind in fields_at(step)
        if text_at(step, kind, "to") == "rehearsed"
    }
    if missing := sorted(wanted - held):
        cause = f"what is to be agreed to is not known yet: '{missing[0]}' is rehearsed later"
        yield say(_asking(stage), cause, "move this stage behind the one that rehearses")


def _asking(stage: Node) -> Place:
    steps = items_at(stage, "steps")
    return next(place_of_key(step, [_ASKS]) for step in steps if _ASKS in fields_at(step))


def window_of(data: str | Mapping[str, Any] | None) -> Window | None:
    """Return the window of checked settings; None where there are none."""
    if data is None:
        return None
    if isinstance(data, str):
        data = _split(data)
    opens, closes = _minutes(data["hours"])
    days = data.get("days", list(DAYS))
    return Window(
        opens,
        closes if closes > opens else closes + _DAY,
        data["timezone"],
        _WORKING if days == "business" else tuple(sorted(map(DAYS.index, days))),
        data.get("holidays", ""),
        _in_words(data),
    )


def _minutes(hours: str) -> tuple[int, int]:
    """Return both times in minutes after midnight.

    >>> _minutes("22:00 - 5:30"), _minutes("0:00-24:00")
    ((1320, 330), (0, 1440))
    """
    times = [part.strip().split(":") for part in hours.split("-")]
    opens, closes = (int(hour) * 60 + int(minute) for hour, minute in times)
    return opens, closes


def _in_words(data: Mapping[str, Any]) -> str:
    days = data.get("days", "")
    shown = days if isinstance(days, str) else ", ".join(days)
    shown = f" on {shown} days" if days == "business" else f" on {shown}" if days else ""
    but = f" but for the public holidays of {data['holidays']}" if data.get("holidays") else ""
    return f"{data['hours']} {data['timezone']}{shown}{but}"
