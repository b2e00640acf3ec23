"""Where drills are held on this machine, and where their certificates are kept for people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsplay.core.certificate import Certificate
    from opsplay.engine.tools import Scratch


class Certificates:
    """The directory `certificates` of the controller's state."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "certificates"

    def keep(self, certificate: Certificate, text: bytes, signature: bytes) -> str:
        """Write text, signature and pages; return the page in the site's own language."""
        from opsplay.reports.certificate import LANGUAGES, language_of, page

        folder = self._folder / certificate.site
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        start = folder / certificate.name
        _write(start, ".json", text)
        if signature:
            _write(start, ".json.sig", signature)
        for language in LANGUAGES:
            _write(start, f".{language}.html", page(certificate, text, language).encode())
        return f"{start}.{language_of(certificate)}.html"


def _write(start: Path, ending: str, content: bytes) -> None:
    path = start.with_name(start.name + ending)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(0o600)
    new.replace(path)


@contextmanager
def scratch_environment(site: str) -> Iterator[Scratch]:
    """Give a scratch environment on this machine; see `lab.scratch`."""
    from opsplay.lab.scratch import scratch

    with scratch(site, _wp_cli) as stack:
        yield stack


def _wp_cli() -> Path | None:
    """Return this machine's WP-CLI, or the lab's, which is fetched where it is missing."""
    if found := shutil.which("wp"):
        return Path(found)
    from opsplay.lab import Lab

    return Lab.prepare(lambda _text: None).wp_cli
