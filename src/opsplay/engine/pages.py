"""What a visitor sees of one page, reduced to what can be compared and journalled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from html.parser import HTMLParser
from typing import Any

_UNSEEN = frozenset({"script", "style", "template", "noscript"})


@dataclass(frozen=True)
class Sight:
    """One look at one page. Times are seconds, sizes bytes; `text_length` counts characters."""

    path: str
    url: str
    """Where the page was finally found, after redirects on the same host."""
    status: int = 0
    """HTTP status; 0 when there was no answer (`error` says why)."""
    title: str = ""
    generator: str = ""
    """The page's `<meta name="generator">`, where a CMS usually names its version."""
    bytes: int = 0
    text_length: int = 0
    """Visible text, without tags, scripts and styles."""
    seconds: float = 0.0
    sha256: str = ""
    missing: tuple[str, ...] = ()
    """Texts that should be on the page and are not."""
    found: tuple[str, ...] = ()
    """Texts that should not be on the page and are."""
    error: str = ""
    location: str = ""
    """Where a redirect that was not followed points to."""

    def to_data(self) -> dict[str, Any]:
        """Return the sight as JSON-ready data."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Sight:
        """Return the sight that `to_data` described; fields it does not know are left out."""
        known = {one.name for one in fields(cls)}
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in data.items()
            if key in known
        }
        return cls(**plain)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.generator = ""
        self.titles: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "meta" and (named.get("name") or "").lower() == "generator":
            self.generator = self.generator or named.get("content") or ""
        if tag in _UNSEEN or tag == "title":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[self._open.index(tag) :]

    def handle_data(self, data: str) -> None:
        match self._open[-1:]:
            case ["title"]:
                self.titles.append(data)
            case []:
                self.words.append(data)
            case _:
                pass


def _one_line(parts: Iterable[str]) -> str:
    return " ".join("".join(parts).split())


@dataclass(frozen=True)
class Reading:
    """What an HTML text says: its title, its generator, its visible text on one line."""

    title: str
    generator: str
    text: str


def read_page(html: str) -> Reading:
    """Return what an HTML text shows; text that is not HTML is all visible.

    >>> read_page("<title>Bakery</title><script>x()</script><p>Bread &amp; cake").text
    'Bread & cake'
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Reading(_one_line(reader.titles), reader.generator, _one_line(reader.words))


def occurring(texts: Iterable[str], html: str, visible: str) -> tuple[str, ...]:
    """Return those of `texts` that occur in the source or in the visible text, in their order."""
    return tuple(text for text in texts if text in html or text in visible)


def fingerprint(body: bytes) -> str:
    """Return the SHA-256 of a page's body as hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()
