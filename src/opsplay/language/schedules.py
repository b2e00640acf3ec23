"""`schedule:` of a playbook: its shape, what can be wrong with it, and the model it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from opsplay.core.errors import Problem
from opsplay.language.dialect import text
from opsplay.language.nodes import Fields, Node, Scalar, find, text_at
from opsplay.language.problems import say
from opsplay.language.schema import Schema, secret_schema
from opsplay.language.suggest import did_you_mean
from opsplay.language.zones import is_zone, unknown_zone

if TYPE_CHECKING:
    from opsplay.core.schedule import Schedule

WORDS = {
    "hourly": "0 * * * *",
    "daily": "0 3 * * *",
    "weekly": "0 3 * * 1",
    "monthly": "0 3 1 * *",
    "quarterly": "0 3 1 1,4,7,10 *",
    "yearly": "0 3 1 1 *",
}
"""Three in the morning, so that none falls into the hours that daylight saving takes or repeats in
Europe and America; weeks begin on Monday."""
_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "JAN to DEC, or 1 to 12"),
    ("day of the week", "SUN to SAT, or 0 to 7 (0 and 7 are Sunday)"),
)
_DURATION = "^[1-9][0-9]*(m|h|d)$"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_URL = r"^https?://[^/\s]+(/\S*)?$"
_A_SUNDAY = datetime(2026, 1, 4, tzinfo=UTC)
"""Where looking for the schedule's moments begins; any day would do."""


def schedule_schema() -> Schema:
    """Return `schedule`: a word, five fields, or a group of settings."""
    return {
        "type": ["string", "object"],
        "minLength": 1,
        "description": "When the playbook starts by itself, once `schedule.install` was run: a word "
        f"({', '.join(WORDS)}), the five fields of a crontab line, or a group of settings.",
        "examples": ["quarterly", "0 3 * * 1"],
        "properties": schedule_settings(),
        "required": ["at"],
        "additionalProperties": False,
    }


def schedule_settings() -> Schema:
    """Return the settings of a schedule that is written as a group."""
    duration = {"pattern": _DURATION, "words": "must be a time such as 30m, 4h or 2d"}
    return {
        "at": text("A word, or the five fields of a crontab line, in quotes.", "0 3 1 */2 *"),
        "timezone": text("Whose clocks the hours are meant by.", "Europe/Paris")
        | {"default": "UTC"},
        "spread": text(
            "The sites begin one by one within this time; each always at its own moment.",
            "6h", **duration,
        ),
        "misfire": {
            "enum": ["latest", "all", "skip"],
            "default": "latest",
            "description": "What is made up for after the controller was off: the newest start "
            "missed, each, or none.",
        },
        "overdue": text(
            "How late a good run may be before it is an alarm. Left out: until the next start is "
            "due, and a day at most.",
            "2d", **duration,
        ),
        "ping": _ping(),
    }  # fmt: skip


def _ping() -> Schema:
    reference = secret_schema()
    return {
        "type": ["string", "object"],
        "pattern": _URL,
        "patternErrorMessage": "must begin with http:// or https://",
        "description": "URL to fetch at each tick while all is well, with `/fail` behind it when "
        "not; who watches it learns of a controller that is dead. May be a reference to a secret.",
        "examples": ["https://watch.example/2f8a"],
        **{key: reference[key] for key in ("properties", "required", "additionalProperties")},
    }


def problems(root: Fields) -> Iterator[Problem]:
    """Find what a schema cannot: moments that never come, zones that are not there."""
    node = find(root, ("schedule",))
    group = isinstance(node, Fields)
    at = find(node, ("at",)) if group else node
    zone = text_at(node, "timezone") if group else None
    if (place := find(node, ("timezone",))) and zone is not None and zone and not is_zone(zone):
        yield say(place.place, *unknown_zone(zone))
    if isinstance(at, Scalar) and isinstance(at.value, str) and at.value:
        wrong = list(_moments(at.value))
        yield from (say(at.place, *one) for one in wrong)
        if group and node is not None and not wrong:
            yield from _spread(node, _cron(at.value))


def _moments(written: str) -> Iterator[tuple[str, str]]:
    """Yield cause and suggestion for each thing that is wrong with a word or with five fields."""
    fields = _cron(written).split()
    if len(fields) == 1:
        yield _no_word(written)
    elif len(fields) != len(_FIELDS):
        names = ", ".join(name for name, _ in _FIELDS)
        yield f"'{written}' has {len(fields)} fields, not five", f"they are: {names}"
    elif bad := [one for one in zip(fields, _FIELDS, strict=True) if not _fits(*one)]:
        for field, (name, allowed) in bad:
            yield f"'{field}' is no {name}", f"write {allowed}, *, */2, a list or a range"
    elif not _comes(" ".join(fields)):
        yield f"'{written}' never comes: no year has such a day", "look at the day and the month"


def _no_word(written: str) -> tuple[str, str]:
    word = written.strip().lower().removeprefix("@")
    if word in WORDS:
        return f"'{written}' is not known here", f"write {word}"
    near = did_you_mean(word, WORDS)
    every = f"words: {', '.join(WORDS)}; or the five fields of a crontab line"
    return f"'{written}' is not a schedule", near if near.startswith("did") else every


def _fits(field: str, about: tuple[str, str]) -> bool:
    position = _FIELDS.index(about)
    alone = ["*"] * len(_FIELDS)
    alone[position] = field
    return _parsed(" ".join(alone)) is not None


def _parsed(cron: str) -> Any:
    from cronsim import CronSim, CronSimError

    try:
        return CronSim(cron, _A_SUNDAY)
    except (CronSimError, AssertionError):
        return None


def _comes(cron: str) -> bool:
    found = _parsed(cron)
    return found is not None and next(found, None) is not None


def _spread(node: Node, cron: str) -> Iterator[Problem]:
    written, place = text_at(node, "spread"), find(node, ("spread",))
    if written is None or place is None or not _is_duration(written):
        return
    coming = list(islice(_parsed(cron), 60))
    shortest = min((later - sooner for sooner, later in pairwise(coming)), default=None)
    if shortest is not None and duration(written) > shortest:
        cause = f"'spread' is {written}, but two starts may be {_told(shortest)} apart"
        yield say(place.place, cause, "spread the sites over less than that")


def _told(span: timedelta) -> str:
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1))):
        if span >= length and not span % length:
            return f"{span // length}{unit}"
    return f"{span // timedelta(minutes=1)}m"


def _is_duration(written: str) -> bool:
    return written[:-1].isdecimal() and written[-1:] in _UNITS


def duration(written: str) -> timedelta:
    """Return a time written as `30m`, `4h` or `2d`.

    >>> duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    return timedelta(**{_UNITS[written[-1]]: int(written[:-1])})


def _cron(written: str) -> str:
    return WORDS.get(written, written)


def schedule_of(data: str | Mapping[str, Any] | None) -> Schedule | None:
    """Return the schedule of checked settings; None where there are none."""
    if data is None:
        return None
    from opsplay.core.schedule import Schedule

    settings: Mapping[str, Any] = {"at": data} if isinstance(data, str) else data
    ping = settings.get("ping", "")
    return Schedule(
        cron=" ".join(_cron(settings["at"]).split()),
        said=settings["at"],
        timezone=settings.get("timezone", "UTC"),
        spread=duration(settings["spread"]) if "spread" in settings else timedelta(0),
        misfire=settings.get("misfire", "latest"),
        overdue=duration(settings["overdue"]) if "overdue" in settings else None,
        ping=ping if isinstance(ping, str) else "",
        ping_secret="" if isinstance(ping, str) else ping["secret"],
    )
