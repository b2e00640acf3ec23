"""Have a timer call `schedule.tick` each minute: systemd's where there is systemd, else cron's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from opsplay.app.apart import program
from opsplay.app.options import Options
from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput, OpsplayError
from opsplay.core.query import Answer
from opsplay.engine.crontab import entry, with_block, without_block
from opsplay.engine.units import unit_name, units
from opsplay.kit.shell import command, quote

Means: TypeAlias = Literal["systemd", "user systemd", "cron"]
"""`systemd`: the machine's own, for root; `user systemd`: that of one user."""

SYSTEM_UNITS = Path("/etc/systemd/system")


@dataclass(frozen=True)
class Timer:
    """What calls the ticks of one ops repository."""

    means: Means
    directory: Path
    """Absolute path of the ops repository."""
    words: tuple[str, ...]
    files: Mapping[Path, str] = field(default_factory=dict)
    """systemd's units by path; empty for cron."""
    line: str = ""
    """The crontab's line; empty for systemd."""
    log: str = ""
    """Where a person reads what the ticks said."""

    @property
    def name(self) -> str:
        """Return the name of the units, without their endings."""
        return unit_name(str(self.directory))

    def text(self) -> str:
        """Return what will be written, as it will be."""
        if self.line:
            return with_block("", str(self.directory), self.line)
        return "\n".join(f"# {path}\n{text}" for path, text in self.files.items())


def timer(options: Options, means: Means | None = None) -> Timer:
    """Return the timer for an ops repository: by absolute paths of it and of this installation."""
    found = means or usual_means()
    inventory, state = options.inventory.absolute(), options.state.absolute()
    directory = inventory.parent
    where = ["--inventory", str(inventory), "--state", str(state)]
    where += ["--journal", _without_password(options.journal)] if options.journal else []
    words = (*program(), "schedule.tick", "--quiet", "--apart", *where)
    if found == "cron":
        file = str(state / "schedule" / "tick.log")
        line = entry(words, str(directory), file)
        return Timer(found, directory, words, line=line, log=file)
    folder = _units_folder(found)
    files = {folder / name: text for name, text in units(words, str(directory)).items()}
    user = " --user" if found == "user systemd" else ""
    log = f"journalctl{user} -u {unit_name(str(directory))}"
    return Timer(found, directory, words, files=files, log=log)


def _without_password(url: str) -> str:
    """Return the URL of a journal as everybody on this machine may see it. Raises InvalidInput."""
    if urlsplit(url).password is not None:
        raise InvalidInput(
            "the journal's URL holds a password, which a timer would show to everybody here",
            next_command="write it into ~/.pgpass (chmod 600), and leave it out of the URL",
        )
    return url


def usual_means() -> Means:
    """Return what this machine calls things by in due time. Raises OpsplayError: it has nothing."""
    if Path("/run/systemd/system").is_dir() and shutil.which("systemctl"):
        return "systemd" if os.geteuid() == 0 else "user systemd"
    if shutil.which("crontab"):
        return "cron"
    raise OpsplayError(
        "this machine has neither systemd nor cron",
        state="nothing was installed",
        next_command="apt install cron, or call `opsplay schedule.tick` each minute by other means",
    )


def _units_folder(means: Means) -> Path:
    if means == "systemd":
        return SYSTEM_UNITS
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "systemd" / "user"


def install(wanted: Timer) -> bool:
    """Set the timer up; return whether anything changed. Raises OpsplayError."""
    if not (wanted.directory / "playbooks").is_dir():
        cause = f"{wanted.directory} has no playbooks/"
        raise InvalidInput(cause, next_command="cd into the ops repository")
    if wanted.means == "cron":
        Path(wanted.log).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _edit(lambda text: with_block(text, str(wanted.directory), wanted.line))
    new = {
        path: text
        for path, text in wanted.files.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in new.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _systemctl(wanted, "daemon-reload")
    _systemctl(wanted, "enable", "--now", f"{wanted.name}.timer")
    return bool(new)


def remove(wanted: Timer) -> bool:
    """Take the timer away; return whether there was one. Raises OpsplayError."""
    if wanted.means == "cron":
        return _edit(lambda text: without_block(text, str(wanted.directory)))
    there = [path for path in wanted.files if path.is_file()]
    if there:
        _systemctl(wanted, "disable", "--now", f"{wanted.name}.timer")
    for path in there:
        path.unlink()
    if there:
        _systemctl(wanted, "daemon-reload")
    return bool(there)


def installed(wanted: Timer) -> bool:
    """Return whether the timer is set up as it would be now."""
    if wanted.means == "cron":
        return with_block(_crontab(), str(wanted.directory), wanted.line) == _crontab()
    return all(
        path.is_file() and path.read_text(encoding="utf-8") == text
        for path, text in wanted.files.items()
    )


def _edit(change: Callable[[str], str]) -> bool:
    before = _crontab()
    after = change(before)
    if after == before:
        return False
    _run("crontab -" if after else "crontab -r", after)
    if _crontab() != after:
        raise OpsplayError(
            "the crontab does not hold what was written",
            state="look at it before the next minute",
            next_command="crontab -l",
        )
    return True


def _crontab() -> str:
    """Return the user's crontab; empty where there is none. Raises OpsplayError."""
    answer = _answer("LC_ALL=C crontab -l")
    if not answer.ok and "no crontab for" in answer.stderr:
        return ""
    text = _checked("crontab -l", answer)
    if "\ufffd" in text:
        raise OpsplayError(
            "the crontab holds bytes that are no UTF-8, which could not be kept as they are",
            state="nothing was changed",
            next_command="opsplay schedule.install --print, and add the lines by `crontab -e`",
        )
    return text


def _systemctl(wanted: Timer, *words: str) -> None:
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    own = "systemctl"
    if wanted.means == "user systemd":
        own = f"XDG_RUNTIME_DIR={quote(runtime)} systemctl --user"
    _run(f"{own} {command(*words)}")


def _run(script: str, stdin: str = "") -> str:
    """Return what a command of this machine prints. Raises OpsplayError with what it complained."""
    return _checked(script, _answer(script, stdin))


def _answer(script: str, stdin: str = "") -> Answer:
    from opsplay.transports.local import LocalTransport

    return LocalTransport(Host("local")).run(script, stdin=stdin.encode())


def _checked(script: str, answer: Answer) -> str:
    if not answer.ok:
        raise OpsplayError(
            f"`{script}` failed: {answer.stderr.strip()[-300:]}",
            state="the timer may not be set up",
            next_command="opsplay schedule.install --print",
        )
    return answer.stdout
