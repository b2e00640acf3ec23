"""The host lock: `mkdir`, with who, which run, which epoch. It keeps two controllers apart.

How old a lock is, its host alone decides, by the time since it was started: neither a controller's
clock that jumps nor the host's own can end a lock too early, or keep it for ever.
"""

from __future__ import annotations

import getpass
import socket
from datetime import datetime, timedelta
from hashlib import sha256

from opsplay.core.errors import Locked, UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.engine.fence import HELD, Fence
from opsplay.kit.shell import assign, quote

EXPIRY = timedelta(hours=8)
"""A lock whose holder began nothing and asked for nothing so long belongs to nobody any more."""


JOBS_KEPT = timedelta(days=14)
"""What jobs leave on the host goes after that; until then it says whether they were done."""
FETCHED_KEPT = timedelta(days=2)
"""What a restore fetched and did not finish with goes after that; until then it can go on."""
BESIDE_KEPT = timedelta(days=30)
"""What a restore replaced, and kept beside the root because the run's directory is on another disk,
goes after that."""
KEPT = 3
"""Restore points that stay on the host, counting the one about to be made."""


def fence_of(site: Site, run: str, epoch: int) -> Fence:
    """Return what acts of a run on this environment have to prove to the host."""
    return Fence(lock_name(site), run, epoch)


def lock_name(site: Site) -> str:
    """Return the lock's name on the host: one per root directory, whoever calls the site what."""
    return sha256(site.here.root.rstrip("/").encode()).hexdigest()[:16]


def take_script(site: Site, run: str, now: datetime, epoch: int = 0) -> str:
    """Return the script that takes the lock, or says who holds it; safe to send twice.

    The run's own lock of an older epoch is taken over. `now` is only told to people.
    """
    return "\n".join(
        [
            "umask 077",
            '[ -d "$HOME/.opsplay/locks" ] || mkdir -p "$HOME/.opsplay/locks" || exit 1',
            fence_of(site, run, epoch).lines,
            assign("we", f"{getpass.getuser()}@{socket.gethostname()}"),
            assign("now", f"{now:%Y-%m-%d %H:%M:%S} UTC"),
            assign("expiry", str(int(EXPIRY.total_seconds()))),
            HELD,
            _TURN,
            _EXPIRED,
            _tidy(site),
            _TAKE,
        ]
    )


_TURN = r"""
turn() {
  # One at a time looks at the lock and changes it. That takes milliseconds: who is still at it
  # after 15 seconds died there.
  n=0
  until mkdir "$lock.turn" 2>/dev/null; do
    n=$((n+1)); [ "$n" -ne 150 ] || rmdir "$lock.turn" 2>/dev/null
    [ "$n" -lt 300 ] || { mkdir "$lock.turn"; exit 75; }
    sleep 0.1 2>/dev/null || sleep 1
  done
}
"""

_EXPIRED = r"""
expired() {
  # No note, or an empty one, is what a taker leaves that died: it is nobody's.
  [ -n "$holder" ] || return 0
  beaten=; how=; { read -r how beaten; } 2>/dev/null < "$lock/beat"
  if read -r up rest 2>/dev/null < /proc/uptime; then mine=u; time=${up%%.*}; else mine=w; time=$(date +%s); fi
  # An earlier version left no beat but a time, by the wall clock.
  [ "$how" = "$mine" ] || { [ -z "$how" ] && [ "${until:-0}" -lt "$(date +%s)" ]; return; }
  # Started since the last beat: older than the time since then.
  if [ "$time" -lt "$beaten" ]; then [ "$how" = u ] && [ "$time" -gt "$expiry" ]; return; fi
  [ $((time - beaten)) -gt "$expiry" ]
}
"""

_TAKE = r"""
whole() {
  n=0; while read -r line; do n=$((n+1)); done < "$lock/note.$$"; [ "$n" -eq 5 ]
}
write_note() {
  printf '%s
' "$run" "$we" "$now" "$(($(date +%s) + expiry))" "$epoch" > "$lock/note.$$"
  # A full disk writes a short note, which nobody could ever free again.
  if whole && beat; then mv -f "$lock/note.$$" "$lock/holder"
  else echo "no room for the lock's note in $lock: is the disk full?" >&2
    rm -f "$lock/note.$$"; [ -s "$lock/holder" ] || rm -rf "$lock"; return 1; fi
}
take() {
  read_note
  if expired; then [ ! -e "$lock" ] || rm -rf "$lock"; mkdir "$lock" && write_note
  elif [ "$holder" != "$run" ]; then :
  elif [ "$held" -lt "$epoch" ]; then write_note
  elif [ "$held" -eq "$epoch" ]; then beat
  fi
}
turn
(take); taken=$?
rmdir "$lock.turn"
[ "$taken" -eq 0 ] || exit 1
while read -r line; do printf '%s\n' "$line"; done < "$lock/holder"
"""


def _tidy(site: Site) -> str:
    """Return the lines that keep the newest restore points of this environment, and little else."""
    where = quote(f"{site.name}-{site.here.name}")
    jobs = (
        'find "$HOME/.opsplay/jobs" -mindepth 1 -maxdepth 1 ! -name "$run-*"'
        f" -mtime +{JOBS_KEPT.days} -exec rm -rf {{}} +"
    )
    # Names of runs sort by time, as the clocks went. Whatever they say: not what this run made.
    old = f"$(ls -d -- */{where} 2>/dev/null | sort -r | tail -n +{KEPT})"
    runs = f'for old in {old}; do [ "${{old%%/*}}" != "$run" ] || continue; rm -rf "./$old"; rmdir "${{old%/*}}"; done'
    # Its tree stands beside the root where that is on another disk than the spool.
    fetched = (
        'find "$HOME/.opsplay/restore" -mindepth 1 -maxdepth 1'
        f" -mtime +{FETCHED_KEPT.days - 1} -exec rm -rf {{}} +; "
        f'[ -d "$HOME/.opsplay/restore/"{quote(f"{site.name}@{site.here.name}")} ] ||'
        f" rm -rf {quote(site.here.root.rstrip('/') + '.opsplay-restore')}"
    )
    replaced = quote(f"{site.here.root.rstrip('/')}.opsplay-before")
    return "\n".join(
        [
            f"[ ! -d {replaced} ] || find {replaced} -maxdepth 0 -mtime +{BESIDE_KEPT.days - 1} -exec rm -rf {{}} + 2>/dev/null",
            f'[ ! -d "$HOME/.opsplay/jobs" ] || {jobs} 2>/dev/null',
            f'[ ! -d "$HOME/.opsplay/restore" ] || {{ {fetched}; }} 2>/dev/null',
            f'[ ! -d "$HOME/.opsplay/runs" ] || (cd "$HOME/.opsplay/runs" && {runs}) 2>/dev/null',
        ]
    )


def read_take(answer: Answer, site: Site, run: str, epoch: int = 0) -> None:
    """Return when the lock is ours.

    Raises Locked with who holds it and what to do, Fenced when a newer process of the same run
    does.
    """
    lines = answer.stdout.splitlines()
    if not answer.ok or len(lines) < 4:  # noqa: PLR2004 - the lines of an earlier version's note
        raise UnreadableAnswer(
            f"the host lock could not be taken: {answer.stderr.strip()[-300:]}",
            site=site.name,
            state="nothing was changed by this stage",
            next_command="df -h ~ on the host",
        )
    holder, who, since = lines[:3]
    if holder != run:
        raise Locked(
            f"{site.here.name} is held by run {holder} of {who} since {since}",
            site=site.name,
            state="this run changed nothing on it",
            next_command=f"invoke logs {holder}; invoke resume {holder}",
        )
    if epoch < int((lines[4:5] or ["0"])[0] or 0):
        raise fence_of(site, run, epoch).refuse(answer.stdout, site.name)


def free_script(site: Site, run: str, epoch: int = 0) -> str:
    """Return the script that frees the lock if it is this run's; safe to send twice.

    It says `fenced` and the lock's note when a newer process of this run holds it.
    """
    return f"{fence_of(site, run, epoch).lines}\n{HELD}\n{_TURN}\n{_FREE}"


_FREE = r"""
[ -d "$HOME/.opsplay/locks" ] || exit 0
turn
( if held_by_us; then mv "$lock" "$lock.freed.$$" && rm -rf "$lock.freed.$$"
  elif [ "$holder" = "$run" ]; then echo fenced; cat "$lock/holder"; fi )
rmdir "$lock.turn"
! held_by_us
"""


def read_free(answer: Answer, site: Site, run: str, epoch: int = 0) -> None:
    """Return when the lock is not ours any more. Raises Fenced, or UnreadableAnswer."""
    word, _, note = answer.stdout.partition("\n")
    if word == "fenced":
        raise fence_of(site, run, epoch).refuse(note, site.name)
    if not answer.ok:
        raise UnreadableAnswer(
            f"the host lock could not be freed: {answer.stderr.strip()[-300:]}",
            site=site.name,
            next_command=f"invoke resume {run}",
        )
