"""Secret references to `Secret`: `env:NAME`, `file:PATH`, `command:LINE`.

The value is fetched when it is revealed, at each reveal, and kept nowhere. An error names the
reference and what to do, never anything the file or the command said.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from opsplay.core.errors import InvalidInput
from opsplay.kit.secret import Secret

COMMAND_SECONDS = 30.0
"""Time a `command:` may take; a password manager may ask for a finger in that time."""


def secret(reference: str, repository: Path = Path()) -> Secret:
    """Return the secret that a reference stands for; nothing is fetched yet.

    `repository` is the ops repository, which `file:` paths are relative to and `command:` runs in.

    Raises:
        InvalidInput: the reference has no scheme that is known here.
    """
    scheme, _, rest = reference.partition(":")
    if scheme not in _SCHEMES or not rest:
        msg = "a secret reference must begin with env:, file: or command:"
        raise InvalidInput(msg)
    return Secret(reference, partial(_fetch, repository))


def _fetch(repository: Path, reference: str) -> str:
    scheme, _, rest = reference.partition(":")
    value = _SCHEMES[scheme](reference, rest, repository)
    if not value:
        raise _cannot(reference, "it is empty")
    return value


def _cannot(reference: str, why: str, next_command: str = "") -> InvalidInput:
    return InvalidInput(f"the secret {reference} cannot be had: {why}", next_command=next_command)


def _from_environment(reference: str, name: str, _repository: Path) -> str:
    value = os.environ.get(name)
    if value is None:
        raise _cannot(reference, f"the variable {name} is not set", f"export {name}=…")
    return value


def _from_file(reference: str, name: str, repository: Path) -> str:
    path = repository / Path(name).expanduser()
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _cannot(reference, f"{path}: {(error.strerror or 'unreadable').lower()}") from error
    except UnicodeDecodeError:
        raise _cannot(reference, f"{path} is not a text") from None
    if mode & stat.S_IROTH:
        raise _cannot(reference, f"everybody on this machine may read {path}", f"chmod 600 {path}")
    return text.strip("\r\n")


def _from_command(reference: str, line: str, repository: Path) -> str:
    try:
        process = _started(line, repository)
    except OSError as error:
        raise _cannot(reference, (error.strerror or "it cannot be started").lower()) from error
    try:
        stdout, _ = process.communicate(timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        _let_go(process)
        raise _cannot(reference, f"no answer within {COMMAND_SECONDS:.0f} s", line) from None
    if process.returncode != 0:
        raise _cannot(reference, f"the command ended with status {process.returncode}", line)
    lines = stdout.decode("utf-8", "replace").splitlines()
    return lines[0] if lines else ""


def _started(line: str, repository: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        line,
        shell=True,
        cwd=repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it may hold the secret
    )


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """End the shell; what it started loses its reader and is not waited for."""
    process.kill()
    if process.stdout:
        process.stdout.close()
    process.wait()


_SCHEMES: dict[str, Callable[[str, str, Path], str]] = {
    "env": _from_environment,
    "file": _from_file,
    "command": _from_command,
}
