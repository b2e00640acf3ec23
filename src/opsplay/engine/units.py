"""The two systemd units that call a command each minute. Pure text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePath

_SERVICE = """\
[Unit]
Description=opsplay schedules of {told}

[Service]
Type=oneshot
WorkingDirectory={directory}
ExecStart={line}
# A tick ends at once; the runs it began go on.
KillMode=process
"""
_TIMER = """\
[Unit]
Description=opsplay schedules of {told}, each minute

[Timer]
OnCalendar=*-*-* *:*:00
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def unit_name(directory: str) -> str:
    """Return the name of the units for an ops repository, without their endings.

    >>> unit_name("/srv/our sites")
    'opsplay-our-sites-e865323c'
    """
    word = re.sub(r"[^a-z0-9]+", "-", PurePath(directory).name.lower()).strip("-") or "sites"
    return f"opsplay-{word}-{hashlib.sha256(directory.encode()).hexdigest()[:8]}"


def units(words: Sequence[str], directory: str) -> dict[str, str]:
    """Return the units by file name: what is called in `directory`, and when."""
    name = unit_name(directory)
    told = _percent(directory)
    line = " ".join(_quoted(word) for word in words)
    service = _SERVICE.format(told=told, directory=_percent(directory), line=line)
    return {f"{name}.service": service, f"{name}.timer": _TIMER.format(told=told)}


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    r"""Return a word of an ExecStart line that stands for exactly itself.

    >>> _quoted('a $b "c" 5%')
    '"a $$b \\"c\\" 5%%"'
    """
    if re.fullmatch(r"[A-Za-z0-9_@+=:,./-]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_percent(escaped)}"'
