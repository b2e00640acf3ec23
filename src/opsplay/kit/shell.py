"""Write POSIX shell text. Every word that is not ours is quoted here, and nowhere else."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z", re.ASCII)


def quote(word: str) -> str:
    r"""Return `word` as one shell word that stands for exactly itself.

    Raises:
        ValueError: the word holds a NUL byte, which no argument can carry.

    >>> quote("it's")
    "'it'\\''s'"
    >>> quote("plain-word")
    'plain-word'
    """
    if "\0" in word:
        msg = "a shell word cannot hold a NUL byte"
        raise ValueError(msg)
    if _PLAIN.match(word) and not word.startswith(("-=", "=")):
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def command(*words: str) -> str:
    """Return one command line; each word arrives as given.

    >>> command("cp", "a b", "c")
    "cp 'a b' c"
    """
    return " ".join(quote(word) for word in words)


def assign(name: str, value: str) -> str:
    """Return `name=value` for use as a statement of its own."""
    return f"{name}={quote(value)}"
