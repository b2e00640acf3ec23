"""How a script travels: in the exec request while it is short, by standard input when it is long.

The user's login shell reads the request first, and it may be bash, dash, zsh, csh or fish. So the
request is one line in which nothing but plain quoting occurs: line ends, quotes, backslashes and
exclamation marks of the script (csh expands `!` even between single quotes) are written as octal
escapes, which the `printf` of the POSIX shell turns back.
"""

from __future__ import annotations

from dataclasses import dataclass

from opsplay.kit import shell

REQUEST_LIMIT = 60_000
"""Bytes. Linux takes 128 KiB a word (MAX_ARG_STRLEN), and sshd hands the request on as one word."""

_FROM_WORD = 'opsplay_script=$(printf %b "$1"); shift; eval "$opsplay_script"'
# What is cut off in the middle is never run: without its line end, `read` fails.
_FROM_INPUT = (
    'IFS= read -r opsplay_script || exit 1; opsplay_script=$(printf %b "$opsplay_script"); '
    'eval "$opsplay_script"'
)
_ESCAPES = str.maketrans({letter: f"\\0{ord(letter):03o}" for letter in "\n\\'!"})


_BY_INPUT = shell.command("exec", "sh", "-c", _FROM_INPUT)
WAITING = _BY_INPUT.encode()
"""The request for a shell that waits for its script."""
WAITING_LIMIT = 16_384
"""Bytes of a script for a waiting shell, which reads it byte by byte: about 1 ms a 1000 bytes."""


@dataclass(frozen=True)
class Packed:
    """A script, ready to travel."""

    request: str
    """One line for the login shell."""
    head: bytes = b""
    """What goes to standard input before the caller's own bytes."""


def pack(script: str) -> Packed:
    """Return `script` ready to travel; it finds standard input untouched, and no arguments.

    Raises:
        ValueError: the script holds a NUL byte, which no shell can read.
    """
    line = script.translate(_ESCAPES)
    request = shell.command("exec", "sh", "-c", _FROM_WORD, "sh", line)
    if len(encode(request)) < REQUEST_LIMIT:
        return Packed(request)
    return Packed(_BY_INPUT, encode(line + "\n"))


def pack_for_waiting_shell(script: str) -> bytes:
    """Return what goes to the standard input of a shell that waits, before the script's own.

    Raises:
        ValueError: the script holds a NUL byte, which no shell can read.
    """
    if "\0" in script:
        raise ValueError("a script cannot hold a NUL byte")
    return encode(script.translate(_ESCAPES) + "\n")


def encode(text: str) -> bytes:
    """Return the bytes of `text`; names that were not UTF-8 on the host go back as they came."""
    return text.encode("utf-8", "surrogateescape")
