"""Put a text into a file."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from opsplay.core.action import Shell, Write
from opsplay.core.change import Change
from opsplay.core.errors import StepFailed, UnreadableAnswer
from opsplay.core.query import Answer, Query
from opsplay.core.site import Site
from opsplay.core.step import Step, param
from opsplay.kit.shell import assign, command

_LARGEST = 1_000_000
_LOOK = f"""
if [ -d "$file" ]; then echo directory
elif [ ! -e "$file" ]; then echo absent
elif [ "$(wc -c <"$file")" -gt {_LARGEST} ]; then echo large
else
    stat -c %a "$file" && base64 <"$file"
fi
"""


@dataclass(frozen=True)
class SeenFile:
    """A file as it is; `content` is None where there is none."""

    content: bytes | None
    mode: int = 0


class File(Step[SeenFile], kind="file"):
    """Put a text into a file on the host; the old text is kept as the way back."""

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
        return Query(assign("file", self._path(site)) + _LOOK, _read)

    def plan(self, site: Site, seen: SeenFile) -> Iterator[Change]:
        mode = int(self.mode, 8)
        if seen == SeenFile(self.content.encode(), mode):
            return
        before = _text(site, self.path, seen)
        same_text = before == self.content
        yield Change(
            what=f"file {self.path}",
            before=f"{seen.mode:o}" if same_text else before or "",
            after=f"{mode:o}" if same_text else self.content,
            do=Write(self._path(site), self.content, mode),
            undo=self._way_back(site, before, seen.mode),
        )

    def _path(self, site: Site) -> str:
        return self.path if self.path.startswith("/") else f"{site.here.root}/{self.path}"

    def _way_back(self, site: Site, before: str | None, mode: int) -> Shell | Write:
        path = self._path(site)
        if before is None:
            return Shell(command("rm", "-f", path))
        return Write(path, before, mode)


def _text(site: Site, path: str, seen: SeenFile) -> str | None:
    try:
        return None if seen.content is None else seen.content.decode()
    except UnicodeDecodeError as error:
        raise StepFailed(
            f"{path} is no UTF-8 text, so there would be no way back",
            site=site.name,
            state="nothing was changed",
        ) from error


def _read(answer: Answer) -> SeenFile:
    state, _, encoded = answer.stdout.strip().partition("\n")
    if answer.ok and state == "absent":
        return SeenFile(None)
    if not answer.ok or not state.isdigit():
        reason = {"directory": "it is a directory", "large": f"it is larger than {_LARGEST} bytes"}
        raise UnreadableAnswer(
            f"the file cannot be read: {reason.get(state, answer.stderr.strip() or 'no answer')}"
        )
    return SeenFile(base64.b64decode(encoded), int(state, 8))
