"""The documentation as the tests read it: pages, code spans, commands, samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md")),
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
)
WRITTEN = [path for path in PAGES if path.parent.name != "reference"]
"""Those that people write; the others are generated."""

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SAMPLE = re.compile(r"<!-- sample: (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(
    r"(?:^ {4}|`|&& )(?:\.venv/bin/)?(?:invoke|opsplay) ([a-z][^`\n]+)", re.MULTILINE
)


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def everything() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in WRITTEN)


def prose(text: str) -> str:
    """The text without fenced blocks, whose contents are another language's."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    return _LINK.findall(prose(text))


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(text))


def samples(text: str) -> dict[str, str]:
    return dict(_SAMPLE.findall(text))


def anchors(text: str) -> set[str]:
    """The names that a link may end with, as code hosts make them of headings."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@dataclass(frozen=True)
class Command:
    """One command line that a page shows."""

    page: str
    verb: str
    flags: tuple[str, ...]


def commands() -> Iterator[Command]:
    for path in WRITTEN:
        for line in _COMMAND.findall(path.read_text(encoding="utf-8")):
            words = re.sub(r"\s{2,}.*|\s#.*|\s[|&>].*", "", line).split()
            flags = tuple(word for word in words if word.startswith("--"))
            yield Command(name_of(path), words[0], flags)
