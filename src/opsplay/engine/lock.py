"""The host lock: `mkdir`, with who, which run and until when. It keeps two controllers apart."""

from __future__ import annotations

import getpass
import hashlib
import socket
from datetime import datetime, timedelta

from opsplay.core.errors import Locked, UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.kit.shell import assign, quote

EXPIRY = timedelta(hours=8)
"""A lock older than this belongs to nobody any more."""


KEPT = 3
"""Restore points that stay on the host, counting the one about to be made."""


def lock_name(site: Site) -> str:
    """Return the lock's name on the host: one per root directory, whoever calls the site what."""
    return hashlib.sha256(site.here.root.rstrip("/").encode()).hexdigest()[:16]


def take_script(site: Site, run: str, now: datetime) -> str:
    """Return the script that takes the lock, or says who holds it; safe to send twice."""
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    expires = int((now + EXPIRY).timestamp())
    note = f"{run}\n{who}\n{now:%Y-%m-%d %H:%M:%S} UTC\n{expires}"
    return "\n".join(
        [
            "umask 077",
            assign("run", run),
            assign("now", str(int(now.timestamp()))),
            'mkdir -p "$HOME/.opsplay/locks" || exit 1',
            f'd="$HOME/.opsplay/locks/"{quote(lock_name(site))}',
            assign("note", note),
            _tidy(site),
            # Once is enough, unless an expired lock is moved away by another taker meanwhile.
            "for turn in 1 2 3; do",
            'find "$d.expired" -maxdepth 0 -mmin +1 -exec rm -rf {} + 2>/dev/null',
            # Of two who find it expired one moves it away; the other must not move the new one. An
            # empty note, as a host that went down leaves it, is nobody's. While a note is there,
            # nobody else can put his: so what is moved is what was looked at.
            'old=$(cat "$d/holder" 2>/dev/null); until=$(printf "%s\\n" "$old" | sed -n 4p)',
            'if [ -f "$d/holder" ] && [ "${until:-0}" -lt "$now" ] && mkdir "$d.expired" 2>/dev/null',
            'then [ ! -f "$d/holder" ] || [ "$(cat "$d/holder")" != "$old" ] || mv "$d" "$d.expired/"',
            '  rm -rf "$d.expired"; fi',
            # A holder that died between mkdir and its note left an empty lock: it is the next one's.
            'mkdir "$d" 2>/dev/null || { n=0; while [ ! -f "$d/holder" ] && [ "$n" -lt 3 ]; do',
            "  n=$((n+1)); sleep 1; done; }",
            # A link appears whole, and fails where a note is: of two takers one succeeds.
            'if [ ! -f "$d/holder" ]; then printf "%s\\n" "$note" > "$d/note.$$"',
            # A full disk writes an empty note, which nobody could ever free again.
            '  [ "$(wc -l < "$d/note.$$")" -eq 4 ] && ln "$d/note.$$" "$d/holder" 2>/dev/null; rm -f "$d/note.$$"; fi',
            '[ -s "$d/holder" ] && cat "$d/holder" 2>/dev/null && exit 0',
            'sleep 1; done; cat "$d/holder"',
        ]
    )


def _tidy(site: Site) -> str:
    """Return the lines that keep the newest restore points of this environment, and few jobs."""
    where = quote(f"{site.name}-{site.here.name}")
    jobs = 'find "$HOME/.opsplay/jobs" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} +'
    # Names of runs sort by time.
    old = f"$(ls -d -- */{where} 2>/dev/null | sort -r | tail -n +{KEPT})"
    runs = f'for old in {old}; do rm -rf "./$old"; rmdir "${{old%/*}}"; done'
    return f'{jobs} 2>/dev/null\n(cd "$HOME/.opsplay/runs" && {runs}) 2>/dev/null'


def read_take(answer: Answer, site: Site, run: str) -> None:
    """Return when the lock is ours. Raises Locked with who holds it and what to do."""
    lines = answer.stdout.splitlines()
    if not answer.ok or len(lines) < 4:  # noqa: PLR2004 - the four lines of a holder's note
        raise UnreadableAnswer(
            f"the host lock could not be taken: {answer.stderr.strip()[-300:]}", site=site.name
        )
    holder, who, since = lines[:3]
    if holder != run:
        raise Locked(
            f"{site.here.name} is held by run {holder} of {who} since {since}",
            site=site.name,
            state="this run changed nothing on it",
            next_command=f"invoke logs {holder}; invoke resume {holder}",
        )


def free_script(site: Site, run: str) -> str:
    """Return the script that frees the lock if it is this run's; safe to send twice."""
    return "\n".join(
        [
            f'd="$HOME/.opsplay/locks/"{quote(lock_name(site))}',
            f'if [ "$(sed -n 1p "$d/holder" 2>/dev/null)" = {quote(run)} ]; then',
            '  mv "$d" "$d.freed.$$" && rm -rf "$d.freed.$$"; fi',
            '[ ! -d "$d" ] || [ "$(sed -n 1p "$d/holder")" != ' + quote(run) + " ]",
        ]
    )
