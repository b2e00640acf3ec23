"""The host's half of a backup: dump, compress, encrypt, cut into segments, hand each one over.

POSIX sh (dash, busybox). It never sees a credential or a key's name: it announces a segment, and
sends it with a URL that fits this segment only, or over the line. Protocol, one line each:

    host  HOST tool version · SEG stream n bytes sha256 · RES n curl_status http_status code why
          END stream n · PIPE stream src= tee= comp= enc= bytes= sha256= trailer= · WHY … · DONE
          ABORT why
    ours  PUT base64-of-curl-config · RELAY (the segment's bytes follow) · SKIP (next one) · STOP

`dd iflag=fullblock` cuts exactly; `head -c` loses data on a pipe. dash has no `pipefail`: every
stage leaves its exit status in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opsplay.kit.shell import assign, command

BLOCK = 65536
_TOOLS = "zstd gzip age curl tar base64 sha256sum"


@dataclass(frozen=True)
class Saved:
    """One stream as the host makes it."""

    name: str
    producer: str
    """Script that writes the plain bytes to standard output."""
    has_trailer: bool
    """Whether the plain bytes must end with the dump's own last line."""


def host_script(
    streams: tuple[Saved, ...], *, spool: str, recipients: tuple[str, ...], segment_bytes: int
) -> str:
    """Return the script. `spool` names site and environment: what older attempts left is removed.

    Each attempt has a directory of its own, because one whose line was cut may still be ending.
    """
    settings: Mapping[str, str] = {
        "spool": spool,
        "blocks": str(segment_bytes // BLOCK),
        "full": str(segment_bytes),
    }
    lines = [assign(name, value) for name, value in settings.items()]
    receivers = [word for one in recipients for word in ("-r", one)]
    encrypt = f"encrypt() {{ {command('age', *receivers)}; }}"
    return "\n".join([*lines, encrypt, _COMMON, *map(_save, streams), "say DONE", ""])


def _save(stream: Saved) -> str:
    trailer = "1" if stream.has_trailer else ""
    return f"produce() {{ (\n{stream.producer}\n) }}\n{command('save', stream.name, trailer)}"


_COMMON = (
    r"""set -u
umask 077
exec 3<&0 4>&1 </dev/null 1>&2
LC_ALL=C
export LC_ALL
d=$HOME/.opsplay/spool/$spool@$$
pids=
say() { printf '%s\n' "$*" >&4; }
abort() { say "ABORT $*"; exit 1; }
first_line() { sed -n 1p "$1" 2>/dev/null; }
rm -rf "${d%@*}"@*  # may fail where an older attempt is still writing: it removes its own
mkdir -p "$d" || abort "cannot make $d"
trap 'kill $pids 2>/dev/null; rm -rf "$d"' EXIT
trap 'exit 1' HUP INT TERM
renice -n 5 -p $$ >/dev/null 2>&1
say "HOST os $(uname -sr)"
for tool in """
    + _TOOLS
    + r"""; do
  version=
  command -v $tool >/dev/null && version=$($tool --version 2>&1 | sed -n 1p)
  say "HOST $tool $version"
done
for tool in age sha256sum dd tee mkfifo; do
  command -v $tool >/dev/null || abort "$tool is not installed on this host"
done
if command -v zstd >/dev/null; then
  comp=zstd
  compress() { zstd -q -3 -c; }
else
  comp=gzip
  compress() { gzip -3 -c; }
fi
say "COMP $comp"

put() {
  rm -f "$d/reply"
  http=$(printf %s "$1" | base64 -d |
    curl -q -sS -K - -T "$d/segment" -o "$d/reply" -w '%{http_code}' 2>"$d/err.curl" 3<&- 4>&-)
  status=$?
  code=$(sed -n 's/.*<Code>\([A-Za-z]*\)<.*/\1/p' "$d/reply" 2>/dev/null | sed -n 1p)
  say "RES $n $status ${http:-000} ${code:--} $(first_line "$d/err.curl")"
}

hand_over() {
  while IFS=' ' read -r verb config <&3; do
    case $verb in
      SKIP) return 0 ;;
      PUT) put "$config" || return 1 ;;
      RELAY) cat "$d/segment" >&4 || return 1 ;;
      *) return 1 ;;
    esac
  done
  return 1
}

cut_up() {
  n=0
  while :; do
    if ! dd bs=65536 count="$blocks" iflag=fullblock of="$d/segment" 2>"$d/err.dd" 3<&- 4>&-; then
      say "ABORT the spool ~/.opsplay/spool cannot be written: $(first_line "$d/err.dd")"
      return 1
    fi
    size=$(($(wc -c <"$d/segment")))
    [ "$size" -gt 0 ] || break
    sum=$(sha256sum <"$d/segment") || return 1
    say "SEG $name $n $size ${sum%% *}"
    hand_over || return 1
    n=$((n + 1))
    [ "$size" -eq "$full" ] || break
  done
  say "END $name $n"
}

left() { cat "$d/rc.$1" 2>/dev/null || echo none; }

save() {
  name=$1
  rm -f "$d"/*
  mkfifo "$d/hash" "$d/count" "$d/end" || abort "cannot make a pipe in $d"
  sha256sum <"$d/hash" >"$d/raw.sha256" 3<&- 4>&- & pids=$!
  wc -c <"$d/count" >"$d/raw.bytes" 3<&- 4>&- & pids="$pids $!"
  tail -c 200 <"$d/end" >"$d/raw.end" 3<&- 4>&- & pids="$pids $!"
  ( produce 2>"$d/err.src" 3<&- 4>&-; echo $? >"$d/rc.src" ) |
    ( tee "$d/hash" "$d/count" "$d/end" 2>"$d/err.tee" 3<&- 4>&-; echo $? >"$d/rc.tee" ) |
    ( compress 2>"$d/err.comp" 3<&- 4>&-; echo $? >"$d/rc.comp" ) |
    ( encrypt 2>"$d/err.enc" 3<&- 4>&-; echo $? >"$d/rc.enc" ) |
    cut_up || exit 1
  [ "$(left tee)" = 0 ] || kill $pids 2>/dev/null
  wait
  pids=
  trailer=-
  if [ -n "$2" ]; then
    trailer=0
    if grep -q '^-- Dump completed' "$d/raw.end"; then trailer=1; fi
  fi
  sum=$(cat "$d/raw.sha256")
  say "PIPE $name src=$(left src) tee=$(left tee) comp=$(left comp) enc=$(left enc)" \
    "bytes=$(($(cat "$d/raw.bytes"))) sha256=${sum%% *} trailer=$trailer"
  say "WHY $(cat "$d"/err.src "$d"/err.tee "$d"/err.comp "$d"/err.enc | tail -n 3 | tr '\n' ' ')"
}
"""
)
