"""No secret is seen where others could look: argument lists, files on the host, the script."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

import pytest
from tests.backup.conftest import CANARY, KEY, Bench
from tests.vaults.seaweed import SECRET_KEY

from opsplay.core.snapshot import to_json
from opsplay.engine.store_readme import readme
from opsplay.transports.local import LocalTransport

SITES_OWN = ("tree", "before", "old")
"""Directories that hold the site's own files, its configuration among them, behind mode 0700."""

pytestmark = pytest.mark.real


class Lookout:
    """Reads every process's argument list, and the host's files under ~/.opsplay, all the time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.seen: set[bytes] = set()
        self.files: dict[str, bytes] = {}
        self.modes: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                self._try(lambda entry=entry: self.seen.add(entry.read_bytes()))
            for folder, folders, names in os.walk(self.home):  # bears it when one of them goes
                folders[:] = [name for name in folders if name not in SITES_OWN]
                for name in folders + names:
                    self._try(lambda path=Path(folder, name): self._read(path))

    def _read(self, path: Path) -> None:
        if path.is_file():
            self.files[path.name] = self.files.get(path.name, b"") + path.read_bytes()[:2_000_000]
        elif path.is_dir():
            self.modes.add(path.stat().st_mode & 0o777)

    def _try(self, act) -> None:
        try:
            act()
        except OSError:
            return  # it was gone before we looked


class Remembering(LocalTransport):
    scripts: str = ""

    def run(self, script: str, **options):
        self.scripts += script
        return super().run(script, **options)

    def open(self, script: str):
        self.scripts += script
        return super().open(script)


def test_no_secret_is_in_an_argument_list_a_file_or_a_script(bench: Bench):
    transport = Remembering(bench.site.here.host)
    with Lookout(bench.home) as lookout:
        snapshot = bench.take(transport=transport)
        bench.restore(snapshot, transport=transport)

    arguments = b"\n".join(lookout.seen)
    assert b"age" in arguments
    assert b"curl" in arguments
    everywhere = [arguments, transport.scripts.encode(), to_json(snapshot)]
    everywhere += [*lookout.files.values(), readme(bench.site.name, bench.settings).encode()]
    for text in everywhere:
        assert CANARY.encode() not in text
        assert SECRET_KEY.encode() not in text
        assert str(KEY).encode() not in text
        assert b"X-Amz-Signature" not in text
    assert lookout.modes <= {0o700}


def test_the_database_password_is_in_the_backup_yet_nowhere_readable(bench: Bench):
    snapshot = bench.take()

    assert CANARY in (bench.root / "config.cnf").read_text()
    for segment in snapshot.segments:
        assert CANARY.encode() not in b"".join(bench.vault.get(segment.key))
