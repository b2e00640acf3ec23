"""Verbs about time: schedule.list, schedule.tick, schedule.install."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from invoke import Context

from opsplay.cli.given import NARROWING, WHERE, options_of
from opsplay.cli.screen import document, emit, screen
from opsplay.cli.stopping import stopping
from opsplay.cli.verb import CHANGING, READING, tell, verb
from opsplay.core.errors import ExitStatus, InvalidInput

if TYPE_CHECKING:
    from opsplay.app import Options
    from opsplay.app.installing import Timer
    from opsplay.app.schedules import Done

_DAYS = 30


@verb(
    READING,
    name="list",
    help={
        "days": f"NUMBER of days to look ahead ({_DAYS}).",
        "from_": "TIME to look from, in UTC: 2027-01-01 or 2027-01-01T05:00 (now).",
        "until": "TIME to look ahead to, in UTC.",
        "off": "FROM/UNTIL: suppose that the controller is off then.",
        "limit": NARROWING["limit"],
        **WHERE,
    },
)
def list_(  # noqa: PLR0913, PLR0917 - one argument a flag
    _context: Context,
    days: int = 0,
    from_: str = "",
    until: str = "",
    off: str = "",
    limit: str = "",
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Show what starts by itself: when next, how it went last, what is overdue.

    With --days, --from, --until or --off: everything that starts in that time. Hours are those of the schedule's own time zone. Status 1 when a run is overdue.
    """
    options = options_of(inventory=inventory, state=state, limit=limit)
    if days or from_ or until or off:
        now = options.clock.now()
        since = _moment("from", from_) if from_ else now
        end = _moment("until", until) if until else since + timedelta(days=days or _DAYS)
        _show_starts(options, (since, end), _break(off), json=json)
        return ExitStatus.DONE
    return _show_standings(options, json=json)


def _moment(flag: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "write 2027-01-01 or 2027-01-01T05:00"
        raise InvalidInput(f"--{flag} {text!r} is not a time: {hint}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _break(text: str) -> tuple[datetime, datetime] | None:
    if not text:
        return None
    first, slash, back = text.partition("/")
    if not slash:
        hint = "write two times: 2027-03-27/2027-04-06"
        raise InvalidInput(f"--off {text!r} is not a span: {hint}")
    return _moment("off", first), _moment("off", back)


def _show_starts(
    options: Options,
    span: tuple[datetime, datetime],
    off: tuple[datetime, datetime] | None,
    *,
    json: bool,
) -> None:
    from opsplay.app.schedules import starts, timetable
    from opsplay.reports.schedules import starts_data, starts_summary, starts_table

    found = starts(options, *span, off)
    if json:
        document("starts", {"starts": starts_data(found)})
        return
    zones = {one.name: one.schedule.timezone for one in timetable(options).scheduled}
    screen().print(starts_table(found, zones))
    emit(starts_summary(found))


def _show_standings(options: Options, *, json: bool) -> ExitStatus:
    from opsplay.app.schedules import Memory, standings, timetable
    from opsplay.reports.schedules import standings_data, standings_table

    table, now = timetable(options), options.clock.now()
    rows = standings(Memory(options), table, now)
    errors = [*table.broken.values(), *(one.error for one in table.scheduled if one.error)]
    if json:
        document("schedules", {"schedules": standings_data(rows)})
    else:
        screen().print(standings_table(rows, now))
    for error in errors:
        tell(error, json=json)
    if errors:
        return ExitStatus.INVALID
    return ExitStatus.FAILED if any(row.overdue_since for row in rows) else ExitStatus.DONE


@verb(
    CHANGING,
    name="tick",
    iterable=["only"],
    help={
        "only": "PLAYBOOK: nothing but this schedule, by the name of its file; may be repeated.",
        "apart": "Carry out each run in a process of its own, and do not wait for it.",
        "quiet": "Do not say that another tick is at work.",
        **WHERE,
    },
)
def tick(
    _context: Context,
    only: tuple[str, ...] = (),
    apart: bool = False,
    quiet: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Start what is due, go on with what was cut short or waited, say what is overdue.

    For a timer that calls it each minute: `schedule.install` sets one up. Says nothing where nothing is to be done. Ends with the worst status of the runs; 1 when a run is overdue.
    """
    from opsplay.app.ticking import tick as do

    names = [name.strip() for text in only for name in text.split(",") if name.strip()]

    def say(done: Done) -> None:
        if not (quiet and done.what == "busy"):
            _say(done, options.clock.now(), json=json)

    with stopping(lambda text: _notice(text, json=json)) as stop:
        options = options_of(inventory=inventory, state=state, stop=stop)
        return do(options, say, names, apart=_apart(options) if apart else None)


def _say(done: Done, now: datetime, *, json: bool) -> None:
    if json:
        told = {"what": done.what, "name": done.name, "sites": list(done.sites), "run": done.run}
        ending = {"slot": done.slot, "exit_status": int(done.exit_status), "text": done.text}
        document("tick", {"at": now.isoformat(), **told, **ending})
    else:
        emit(f"{now:%Y-%m-%d %H:%M:%S} UTC  {done.text}")


def _notice(text: str, *, json: bool) -> None:
    if json:
        document("notice", {"text": text})
    else:
        emit(text)


def _apart(options: Options) -> Callable[[Sequence[str], str], None]:
    from opsplay.app.apart import begin, trim

    place = options.state / "schedule"
    where = ("--inventory", str(options.inventory), "--state", str(options.state))
    trim(place / "tick.log")

    def hand_over(words: Sequence[str], log: str) -> None:
        begin([*words, *where], place / log, options.journal)

    return hand_over


@verb(
    READING,
    name="install",
    help={
        "remove": "Take the timer away again.",
        "print_": "Only show what would be written.",
        "cron": "Use the crontab also where there is systemd.",
        **WHERE,
    },
)
def install(
    _context: Context,
    remove: bool = False,
    print_: bool = False,
    cron: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> None:
    """Have this machine call `schedule.tick` each minute.

    By a systemd timer where there is systemd (of the machine for root, else of the user), by a line in the crontab where not. May be called again at any time; whatever else is in the crontab stays as it is.
    """
    from opsplay.app import installing

    options = options_of(inventory=inventory, state=state)
    wanted = installing.timer(options, "cron" if cron else None)
    if print_:
        _installed(wanted, "printed", json=json)
        return
    changed = installing.remove(wanted) if remove else installing.install(wanted)
    what = "removed" if remove else "installed"
    _installed(wanted, what if changed else f"already {what}", json=json)


def _installed(wanted: Timer, what: str, *, json: bool) -> None:
    if json:
        told = {"what": what, "means": wanted.means, "directory": str(wanted.directory)}
        document("timer", {**told, "log": wanted.log, "text": wanted.text()})
        return
    if what == "printed":
        emit(wanted.text().rstrip("\n"))
        return
    emit(f"{what}: {wanted.means}, each minute, for {wanted.directory}")
    if "removed" in what:
        return
    emit(f"what the ticks say: {wanted.log}")
    emit(f"what the runs say: {wanted.directory}/.opsplay/schedule/, and opsplay logs")
    if wanted.means == "user systemd":
        emit("so that it goes on while you are logged out: loginctl enable-linger")
