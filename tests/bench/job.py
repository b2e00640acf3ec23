"""The job that every tool does: twenty steps on each host, and what a host then looks like.

Fourteen texts with their permissions, of which six name the host; two directories, a link, two
lines in a file that others write too, and an archive that is made once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAME = "{name}"
"""Stands for the host's name in a text; each tool has its own word for it."""


@dataclass(frozen=True)
class Text:
    """A file with a whole text."""

    path: str
    content: str
    mode: str = "644"

    @property
    def named(self) -> bool:
        """Return whether the text names the host, so that tools need a template for it."""
        return NAME in self.content

    def on(self, name: str, word: str = NAME) -> str:
        """Return the text with `name` in the place of `word`."""
        return self.content.replace(word, name)


def _lines(first: str, line: str, count: int) -> str:
    return first + "".join(f"{line} {number}\n" for number in range(1, count + 1))


TEXTS = (
    Text("robots.txt", _lines("User-agent: *\n", "Disallow: /basket/", 8)),
    Text("humans.txt", "This shop is looked after every day.\n"),
    Text("conf/cache.conf", _lines("# pages\n", "cache_path /var/cache/shop", 24)),
    Text("conf/limits.conf", _lines("# visitors\n", "limit_req zone", 12)),
    Text("conf/headers.conf", _lines("# headers\n", "add_header X-Shop", 16)),
    Text("conf/redirects.conf", _lines("# old pages\n", "rewrite ^/old-page /page", 60)),
    Text("conf/types.conf", _lines("# types\n", "type application/x-shop", 40)),
    Text("conf/pool.conf", _lines("# workers\n", "pm.max_children =", 6), "640"),
    Text("conf/server.conf", f"server_name {NAME}.example;\nroot /srv/{NAME};\n"),
    Text("conf/log.conf", f"access_log /var/log/{NAME}.log;\n"),
    Text("conf/mail.conf", f"[mail]\nfrom = shop@{NAME}.example\n", "600"),
    Text("pages/about.html", f"<h1>About {NAME}</h1>\n" + "<p>We bake every day.</p>\n" * 20),
    Text("pages/contact.html", f"<h1>Write to {NAME}</h1>\n" + "<p>We answer.</p>\n" * 10),
    Text("pages/closed.html", f"<h1>{NAME} is back soon</h1>\n", "640"),
)
DIRECTORIES = (("cache", "755"), ("uploads", "750"))
LINK = ("current", "releases/1")
SETTINGS = "settings.ini"
LINES = ("memory_limit = 256M", "display_errors = off")
ARCHIVE = "releases.tar"
STEPS = len(TEXTS) + len(DIRECTORIES) + 1 + len(LINES) + 1

_BEFORE = "; settings of this shop\npost_max_size = 32M\n"


def make_fresh(root: Path) -> None:
    """Make the tree of a host on which nothing has been done."""
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("conf", "pages", "releases/1"):
        (root / folder).mkdir(parents=True)
    (root / "releases/1/index.php").write_text("<?php echo 'shop';\n")
    (root / SETTINGS).write_text(_BEFORE)


def make_done(root: Path, name: str) -> None:
    """Make the tree of a host on which all twenty steps have been done."""
    make_fresh(root)
    for text in TEXTS:
        (root / text.path).write_text(text.on(name))
        (root / text.path).chmod(int(text.mode, 8))
    for path, mode in DIRECTORIES:
        (root / path).mkdir()
        (root / path).chmod(int(mode, 8))
    (root / LINK[0]).symlink_to(LINK[1])
    (root / SETTINGS).write_text(_BEFORE + "".join(f"{line}\n" for line in LINES))
    (root / ARCHIVE).write_bytes(b"")


def left_undone(root: Path, name: str) -> list[str]:
    """Return what on a host is not as the twenty steps want it: paths, each once."""
    return sorted(set(_undone(root, name)))


def _undone(root: Path, name: str) -> Iterator[str]:
    for text in TEXTS:
        path = root / text.path
        if not path.is_file() or path.read_text() != text.on(name) or _mode(path) != text.mode:
            yield text.path
    for folder, mode in DIRECTORIES:
        if not (root / folder).is_dir() or _mode(root / folder) != mode:
            yield folder
    if not (root / LINK[0]).is_symlink() or str((root / LINK[0]).readlink()) != LINK[1]:
        yield LINK[0]
    if (root / SETTINGS).read_text() != _BEFORE + "".join(f"{line}\n" for line in LINES):
        yield SETTINGS
    if not (root / ARCHIVE).exists():
        yield ARCHIVE


def last_touched(root: Path) -> int:
    """Return when anything in a tree was last changed, in nanoseconds: the kernel's own note."""
    return max(path.lstat().st_ctime_ns for path in (root, *root.rglob("*")))


def _mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:o}"
