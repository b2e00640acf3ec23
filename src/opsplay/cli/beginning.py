"""Verbs to begin with: init, demo, the lab, hosts.accept."""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from opsplay.cli.given import WHERE, options_of, playbook_path
from opsplay.cli.screen import document, emit, program_name, screen
from opsplay.cli.showing import played
from opsplay.cli.verb import CHANGING, REACHING, READING, verb
from opsplay.core.errors import ExitStatus, InvalidInput

_LAB = {"directory": "DIR of the lab (.lab).", "json": WHERE["json"]}


@verb(READING, positional=["directory"], help={"json": WHERE["json"]})
def init(_context: Context, directory: str, json: bool = False) -> None:
    """Make a new ops repository.

    DIRECTORY gets playbooks, an example inventory and schemas. Writes nothing when one of its files is there already.
    """
    from opsplay.language import write_starter

    written = write_starter(Path(directory))
    if json:
        document("init", {"files": [str(path) for path in written]})
        return
    for path in written:
        emit(f"wrote {path}")
    emit(f"next: cd {directory}, then read README.md")


@verb(
    REACHING,
    name="accept",
    positional=["host"],
    help={"fingerprint": "SHA256:… that the key must have; needed where it replaces another.", **WHERE},
)  # fmt: skip
def accept(
    _context: Context,
    host: str,
    fingerprint: str = "",
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> None:
    """Accept the SSH key that a host shows now.

    It is remembered in known_hosts. Compare the fingerprint with what the hosting provider says before you go on.
    """
    from opsplay import app

    told = app.accept_host(host, options_of(inventory=inventory, state=state), fingerprint)
    if json:
        document("host_accepted", {"host": host, "fingerprint": str(told)})
    else:
        emit(f"accepted {host}: {told}")


def _say(text: str) -> None:
    emit(f"lab: {text}")


@verb(READING, name="up", help=_LAB)
def lab_up(_context: Context, directory: str = ".lab", json: bool = False) -> ExitStatus:
    """Start the embedded lab on this machine.

    Real web hosts, databases, storage, and two WordPress sites. Safe to repeat: what runs is left alone, what died is started again.
    """
    from opsplay.lab import Lab

    Lab.up(Path(directory), progress=(lambda _text: None) if json else _say)
    return _told(directory, json=json)


@verb(READING, name="down", help={"remove": "Delete the lab's directory, too.", **_LAB})
def lab_down(
    _context: Context, remove: bool = False, directory: str = ".lab", json: bool = False
) -> None:
    """End the lab on this machine.

    Its directory stays, with sites and backups as they are, so that `lab.up` goes on with them.
    """
    from opsplay.lab.laboratory import take_down

    take_down(Path(directory), remove=remove)
    if json:
        document("lab", {"up": False, "directory": directory})
    else:
        _say(f"down, and {directory} removed" if remove else f"down; {directory} stays")


@verb(READING, name="status", help=_LAB)
def lab_status(_context: Context, directory: str = ".lab", json: bool = False) -> ExitStatus:
    """Say what of the lab runs, and where its pages are.

    Status 1 unless all of it runs.
    """
    return _told(directory, json=json)


@verb(READING, name="reset", help={"site": "NAME: only this site.", **_LAB})
def lab_reset(
    _context: Context, site: str = "", directory: str = ".lab", json: bool = False
) -> ExitStatus:
    """Bring the lab's sites back to how they were at first.

    The old WordPress versions, and no backups.
    """
    from opsplay.lab import Lab

    Lab.at(Path(directory)).reset(site or None)
    return _told(directory, json=json)


def _told(directory: str, *, json: bool) -> ExitStatus:
    from opsplay.lab import Lab

    status = Lab.status(Path(directory))
    if json:
        parts = {"daemons": dict(status.daemons), "pages": dict(status.pages)}
        document("lab", {"up": status.up, "directory": str(status.directory), **parts})
    else:
        for name, runs in status.daemons.items():
            _say(f"{name:10} {'runs' if runs else 'does not run'}")
        for name, address in status.pages.items():
            _say(f"{name:20} {address}")
        if not status.daemons:
            _say(f"no lab in {status.directory}; start it: {program_name()} lab.up")
    return ExitStatus.DONE if status.up else ExitStatus.FAILED


@verb(
    CHANGING,
    help={
        "playbook": "FILE to run (playbooks/update.yaml).",
        "picture": "FILE to save a picture of the run in, as SVG.",
        **{name: WHERE[name] for name in ("inventory", "state")},
    },
)  # fmt: skip
def demo(
    _context: Context,
    playbook: str = "playbooks/update.yaml",
    picture: str = "",
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """See it work on two real sites, on this machine.

    The lab is started, and two real WordPress sites are updated over real SSH: a backup goes to the lab's S3 storage first, the update is rehearsed on staging clones, and then done in production behind maintenance mode. Everything is on this machine, in `.lab/`.
    """
    from opsplay import app
    from opsplay.lab import Lab

    path = playbook_path(playbook)
    if not Path(inventory, "lab.yaml").is_file():
        cause = f"{inventory}/lab.yaml is not here: the demo runs in opsplay's own repository"
        raise InvalidInput(cause, next_command="cd into the clone of opsplay, then: invoke demo")
    lab = Lab.up(Path(".lab"), progress=_say)
    console = screen(record=bool(picture))
    where = {"inventory": inventory, "state": state, "limit": "bakery,florist"}
    status = played(lambda options: app.run(path, options), where, yes=True, console=console)
    if picture:
        from opsplay.reports.picture import save_picture

        save_picture(console, Path(picture), f"{program_name()} run {playbook}")
    if status == ExitStatus.DONE:
        _where_to_look(dict(lab.facts))
    return status


def _where_to_look(facts: dict[str, object]) -> None:
    name = program_name()
    emit("\nlook at it:")
    for site in ("bakery", "florist"):
        emit(f"  {facts.get(f'{site}_production_url', ''):<50}  {site}, updated")
    for command, what in (
        ("logs last", "what was done, step by step"),
        ("backups", "what the storage holds"),
        ("run playbooks/update.yaml", "again: nothing to change"),
        ("rollback last", "back to the old versions"),
        ("lab.down", "end the lab"),
    ):
        emit(f"  {f'{name} {command}':<50}  {what}")
