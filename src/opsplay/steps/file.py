"""Put a text into a file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial

from opsplay.core.action import Shell, Write
from opsplay.core.change import Change
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer, Query
from opsplay.core.site import Site
from opsplay.core.step import Step, param
from opsplay.kit.shell import assign

_SECRETIVE = (".env*", "wp-config*", "parameters.*", "configuration.php")
"""Names of files that usually hold passwords: their text never leaves the host."""
_SHOWN_BYTES = 100_000
_SHOWN_LINES = 200
_LOOK = r"""
nl='
'
of_all() {
  # Becomes the tool $1, on every path that is there and no directory.
  tool=$1; shift; left=$#
  while [ "$left" -gt 0 ]; do
    [ -d "$1" ] || [ ! -e "$1" ] || set -- "$@" "$1"
    shift 4; left=$((left-4))
  done
  [ $# -eq 0 ] || exec $tool "$@" 2>/dev/null
}
modes=$(of_all 'stat -Lc %a_%n --' "$@")
sums=$(of_all 'sha256sum --' "$@")
look() {
  short=
  if [ -d "$1" ]; then short=directory; return; elif [ ! -e "$1" ]; then short=absent; return; fi
  # A line that is not of this very path (an odd name, or none as it failed) answers nothing.
  line=${modes%%"$nl"*}; mode=${line%%_*}
  if [ "${mode}_$1" = "$line" ]; then modes=${modes#*"$nl"}
  else mode=$(stat -Lc %a -- "$1") || return 1; fi
  line=${sums%%"$nl"*}; sum=${line%% *}
  if [ "$sum  $1" = "$line" ]; then sums=${sums#*"$nl"}
  else sum=$(sha256sum <"$1") || return 1; sum=${sum%% *}; fi
  if [ "$sum $mode" = "$2 $3" ]; then short=same; return; fi
  opsplay_say; size=$(wc -c <"$1") || return 1
  echo "$mode"; echo "$size" "$sum"
  [ "$size" -gt "$4" ] || [ "$sum" = "$2" ] || base64 <"$1"
}
while [ $# -gt 0 ]; do look "$@"; answered $? ${short:+"$short"}; shift 4; done
"""
"""Its words, for each file: path, SHA-256 and mode as wished, bytes up to which its text is told.

What is as wished says nothing but that. All files are looked at by one `stat` and one `sha256sum`.
"""
_BRING_BACK = r"""
kept=${OPSPLAY_RUN_DIR:?}/before/$kept
if [ -e "$kept" ] || [ -L "$kept" ]; then
    cp -pP "$kept" "$file.opsplay.$$" && mv "$file.opsplay.$$" "$file" || exit 1
    [ -L "$kept" ] || cmp -s "$kept" "$file"
elif [ -e "$kept.absent" ]; then
    rm -f "$file" && [ ! -e "$file" ]
elif [ -f "$file" ] && [ "$(sha256sum <"$file" | cut -c 1-64)" = "$written" ]; then
    echo "what was at $file is not kept any more; it is as the run left it" >&2
    exit 1
fi
"""


@dataclass(frozen=True)
class SeenFile:
    """A file as it is."""

    sha256: str = ""
    """Hexadecimal; empty where there is no file."""
    size: int = 0
    """In bytes."""
    mode: int = 0
    text: bytes = b""
    """For a person's eyes only; empty for large files and for those that usually hold secrets."""


class File(Step[SeenFile], kind="file"):
    """Put a text into a file on the host; the old file is kept there as the way back."""

    together = True

    path: str = param(
        "The file: absolute, or below the root of the site.",
        examples=["robots.txt", "/etc/nginx/snippets/shop.conf"],
        minLength=1,
    )
    content: str = param("The whole text.", examples=["User-agent: *\nDisallow: /cart/\n"])
    mode: str = param(
        "Permissions in octal.", default="644", examples=["644", "600"], pattern="^0?[0-7]{3}$"
    )

    def probe(self, site: Site) -> Query[SeenFile]:
        wish = self._wish()
        words = (wish.sha256, f"{wish.mode:o}", str(_SHOWN_BYTES))
        if self._secretive():
            # Others on the host may see the words, and guess a short secret from its hash.
            words = ("", "", "-1")
        return Query(_LOOK, partial(_read, wish), (self._path(site), *words))

    def plan(self, site: Site, seen: SeenFile) -> Iterator[Change]:
        wish = self._wish()
        if (seen.sha256, seen.mode) == (wish.sha256, wish.mode):
            return
        mode = wish.mode
        same_text, modes = seen.sha256 == wish.sha256, seen.mode not in {0, mode}
        do = Write(self._path(site), self.content, mode)
        yield Change(
            what=f"file {self.path}",
            before=f"{seen.mode:o}" if same_text else _in_short(seen, with_mode=modes),
            after=f"{mode:o}" if same_text else _in_short(wish, with_mode=modes),
            do=do,
            undo=_way_back(do),
            difference="" if self._secretive() else _difference(seen, self.content),
        )

    def _wish(self) -> SeenFile:
        new = self.content.encode()
        return SeenFile(hashlib.sha256(new).hexdigest(), len(new), int(self.mode, 8))

    def _path(self, site: Site) -> str:
        return self.path if self.path.startswith("/") else f"{site.here.root}/{self.path}"

    def _secretive(self) -> bool:
        name = self.path.rpartition("/")[2].lower()
        return any(fnmatch(name, pattern) for pattern in _SECRETIVE)


def _in_short(file: SeenFile, *, with_mode: bool) -> str:
    if not file.sha256:
        return "absent"
    mode = f" mode {file.mode:o}" if with_mode else ""
    return f"{file.size} bytes (sha256 {file.sha256[:8]}…){mode}"


def _way_back(do: Write) -> Shell:
    words = {
        "file": do.path,
        "kept": do.kept,
        "written": hashlib.sha256(do.content.encode()).hexdigest(),
    }
    return Shell("\n".join(assign(name, value) for name, value in words.items()) + _BRING_BACK)


def _difference(seen: SeenFile, content: str) -> str:
    """Return a unified diff of at most 200 lines; nothing where the old text was not told."""
    import difflib  # a file that is as wished needs no difference

    try:
        old = seen.text.decode().splitlines()
    except UnicodeDecodeError:
        return ""
    if seen.size and not seen.text:
        return ""
    lines = list(difflib.unified_diff(old, content.splitlines(), "before", "after", lineterm=""))
    more = len(lines) - _SHOWN_LINES
    left_out = [f"… and {more + 1} more lines"] if more > 0 else []
    return "\n".join([*(lines[: _SHOWN_LINES - 1] if left_out else lines), *left_out])


def _read(wish: SeenFile, answer: Answer) -> SeenFile:
    state, _, rest = answer.stdout.strip().partition("\n")
    if answer.ok and state in {"same", "absent"}:
        return wish if state == "same" else SeenFile()
    facts, _, encoded = rest.partition("\n")
    size, _, sha256 = facts.partition(" ")
    if not answer.ok or not state.isdigit() or not size.isdigit() or not sha256:
        reason = "it is a directory" if state == "directory" else answer.stderr.strip()
        raise UnreadableAnswer(f"the file cannot be read: {reason or 'no answer'}")
    return SeenFile(sha256, int(size), int(state, 8), base64.b64decode(encoded))
