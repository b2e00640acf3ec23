"""The scripts of a detached job: start it, look after it, end it. POSIX sh.

Everything about a job lies in `~/.opsplay/jobs/JOB` on its host: `script`, `claimed`, `pid`, `out`,
`err`, `rc`. `claimed` is made by `mkdir`, which succeeds once: however often a start is sent, the
script runs at most once.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from opsplay.engine.fence import HELD, NO_LINES, Fence
from opsplay.kit.secret import Secret
from opsplay.kit.shell import assign, quote

TAIL = 32768
"""Bytes of each output stream that are fetched; the whole stays on the host."""
TURNS = 56
"""Looks of one call: 15 at 0.02 s, for most acts are short, 24 at 0.05 s, then 17 at 0.25 s; so a call
lasts 6 s at most."""
SPLIT = "=====opsplay-job====="
"""Stands between the two streams in what a job's host tells of it."""

_LAUNCH = r"""
if ! held_by_us; then echo "fenced 0"; cat "$lock/holder" 2>/dev/null; exit 0; fi
if [ ! -f "$d/rc" ] && [ ! -d "$d/claimed" ]; then
  mkdir -p "$d" "$OPSPLAY_RUN_DIR" || exit 91
  IFS=' ' read -r length secrets || exit 94
  cat > "$d/script.$$" || exit 92
  # A line cut while sending ends the input too: what is not whole is never run.
  if [ "$(wc -c < "$d/script.$$")" -ne "$length" ]; then rm -f "$d/script.$$"; exit 94; fi
  mv "$d/script.$$" "$d/script" || exit 92
  starter=nohup; if command -v setsid >/dev/null 2>&1; then starter=setsid; fi
  set -- "$d" "$lock" "$run" "$epoch" "$starter" "$secrets"
  # Apart from here on: a secret may have the name of any variable of ours.
  ( if [ -n "$6" ]; then : > "$1/private"; eval "$(printf %s "$6" | base64 -d)"; fi
  "$5" sh -c ': opsplay-job; mkdir "$1/claimed" 2>/dev/null || exit 0
    # Looked at after the claim: who takes the lock over looks at the claims after that.
    if [ -n "$2" ]; then
      opsplay_r=; opsplay_e=; { read -r opsplay_r; read -r opsplay_x; read -r opsplay_x
        read -r opsplay_x; read -r opsplay_e; } < "$2/holder"
      [ "$opsplay_r" = "$3" ] && [ "${opsplay_e:-0}" -le "$4" ] || { echo fenced > "$1/rc"; exit 0; }
    fi
    # A full disk writes empty files: without a pid nobody could tell that it runs, so it does not.
    # The room for the status is taken now, so that it can be told if the disk gets full meanwhile.
    echo $$ > "$1/pid"; printf "%-8s\n" "?" > "$1/rc.new"; : > "$1/out"; : > "$1/err"
    [ -s "$1/pid" ] && [ -s "$1/rc.new" ] && [ -f "$1/err" ] && cd "$HOME" ||
      { rm -f "$1/pid" "$1/rc.new"; rmdir "$1/claimed"; exit 93; }
    umask 022
    sh "$1/script" > "$1/out" 2> "$1/err" < /dev/null
    printf "%-8s\n" "$?" 1<> "$1/rc.new"
    sync "$1/rc.new" 2>/dev/null; mv "$1/rc.new" "$1/rc"
  ' opsplay-job "$1" "$2" "$3" "$4" </dev/null >/dev/null 2>&1 & )
fi
"""

_WAIT = r"""
alive() {
  p=; { read -r p < "$d/pid"; } 2>/dev/null; [ -n "$p" ] && kill -0 "$p" 2>/dev/null || return 1
  [ -r "/proc/$p/cmdline" ] || return 0
  # Its first line says so; a shell that does not read on behind a NUL byte needs a tool.
  words=; { read -r words < "/proc/$p/cmdline"; } 2>/dev/null
  case $words in *opsplay-job*) ;; *) grep -q opsplay-job "/proc/$p/cmdline" ;; esac
}
n=0; gone=0; if [ -n "$lock" ] && held_by_us; then beat; fi
while [ ! -f "$d/rc" ] && [ "$n" -lt "$turns" ]; do
  n=$((n + 1))
  [ -d "$d" ] || break
  # Dead with a pid: the status follows at once or never. Without one: not yet claimed, wait longer.
  if alive; then gone=0; else gone=$((gone + 1)); fi
  if [ -f "$d/pid" ]; then limit=4; else limit=40; fi
  [ "$gone" -lt "$limit" ] || break
  if [ "$n" -lt 16 ]; then sleep 0.02 2>/dev/null || sleep 1
  elif [ "$n" -lt 40 ]; then sleep 0.05 2>/dev/null || sleep 1
  else sleep 0.25 2>/dev/null || sleep 1; fi
done
status=; [ ! -f "$d/rc" ] || read -r status < "$d/rc"
if [ "$status" = fenced ]; then echo "absent 0"
elif [ -f "$d/rc" ]; then echo "ended $status"
elif [ ! -d "$d/claimed" ]; then
  # Who bars a job claims it: a start that is still on its way then begins nothing any more.
  if [ "$bar" = 1 ] && held_by_us && mkdir -p "$d" && ! mkdir "$d/claimed" 2>/dev/null; then echo "running 0"
  else echo "absent 0"; fi
elif alive; then echo "running 0"
else echo "lost 0"; fi
"""

_TELL = rf"""
if [ -f "$d/rc" ] || {{ [ -f "$d/out" ] && ! alive; }}; then
  tail -c {TAIL} "$d/out"; printf '\n{SPLIT}\n'; tail -c {TAIL} "$d/err"
  # A command may print its own secrets: what it said is told once, and not kept on the host.
  if [ -f "$d/private" ]; then : > "$d/out"; : > "$d/err"; fi
fi
"""


def _head(job: str, directory: str, turns: int, fence: Fence | None, *, bar: bool = False) -> str:
    return "\n".join(
        [
            "umask 077",
            fence.lines if fence else NO_LINES,
            HELD,
            assign("turns", str(turns)),
            assign("bar", str(int(bar))),
            f'd="$HOME/.opsplay/jobs/"{quote(job)}',
            f'OPSPLAY_RUN_DIR="$HOME/.opsplay/runs/"{quote(directory)}',
            'export OPSPLAY_RUN_DIR; [ -d "$HOME/.opsplay/jobs" ] || mkdir -p "$HOME/.opsplay/jobs"',
        ]
    )


def start_script(
    job: str, directory: str, turns: int = TURNS, fence: Fence | None = None, then: str = ""
) -> str:
    """Return the script that starts a job unless it was started, waits a while, and reports.

    Standard input: one line with the script's length in bytes and the secrets (base64 of `export`
    statements, or nothing), then the job's script. Behind a fence it begins only while that holds.
    `then`: lines that end the script once the job has ended.
    """
    end = f'[ -f "$d/rc" ] || exit 0\n{then}' if then else "exit 0\n"
    return _head(job, directory, turns, fence) + _LAUNCH + _WAIT + _TELL + end


def watch_script(
    job: str,
    directory: str,
    turns: int = TURNS,
    fence: Fence | None = None,
    *,
    bar: bool = False,
) -> str:
    """Return the script that waits a while for a job and reports; it never starts one.

    `bar`: a job that was not started cannot be started any more.
    """
    return _head(job, directory, turns, fence, bar=bar) + _WAIT + _TELL + "exit 0\n"


def kill_script(job: str, fence: Fence | None = None) -> str:
    """Return the script that ends a job's process group, unless it is another's by now."""
    return (
        f"{fence.lines if fence else NO_LINES}\n{HELD}held_by_us || exit 0\n"
        f'd="$HOME/.opsplay/jobs/"{quote(job)}; [ -f "$d/pid" ] || exit 0; p=$(cat "$d/pid")\n'
        'kill -s TERM -- "-$p" 2>/dev/null || kill -s TERM "$p" 2>/dev/null; n=0\n'
        'while kill -0 "$p" 2>/dev/null && [ "$n" -lt 20 ]; do n=$((n+1)); sleep 0.1 2>/dev/null || sleep 1; done\n'
        'kill -s KILL -- "-$p" 2>/dev/null; exit 0'
    )


def payload(script: str, secrets: Mapping[str, Secret]) -> bytes:
    """Return what a start reads from its standard input."""
    exports = "\n".join(
        f"export {name}; {assign(name, secret.reveal())}" for name, secret in secrets.items()
    )
    body = script.encode()
    return f"{len(body)} ".encode() + base64.b64encode(exports.encode()) + b"\n" + body
