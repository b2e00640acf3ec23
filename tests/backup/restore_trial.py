"""A site whose restores die: it is as before or whole, or its door is closed; the next one mends it."""

from __future__ import annotations

import os
from collections.abc import Callable
from unittest.mock import patch

from tests.backup.conftest import SEGMENT, Bench, tree
from tests.backup.deaths import CONTROLLER, Death
from tests.backup.holding_storage import holding, in_a_folder
from tests.backup.killing import Counting, Moments, Mortal

from opsplay.core.transport import Transport
from opsplay.engine import restore_fetch


class Trial:
    """One backup of a site; what comes after it is a mistake, and the backup is to come back."""

    def __init__(self, bench: Bench, line: Callable[[], Transport] | None = None) -> None:
        self.bench = bench
        in_a_folder(bench)
        self._line = line or (lambda: bench.transport)
        self.mortal = Mortal(bench.home, bench.home.parent / "tools", self._restore)
        (bench.root / "photo.jpg").write_bytes(os.urandom(6 * SEGMENT))
        self.snapshot = bench.take(segment_bytes=2 * SEGMENT)
        self.good = bench.fingerprint()
        self.spoil()
        self.bad = bench.fingerprint()
        self._restore_again()
        self.beside = {path.name for path in bench.root.parent.iterdir()}

    def deaths(self) -> list[Death]:
        """Return every death of a restore."""
        return self.mortal.deaths()

    def moments(self) -> list[str]:
        """Return the moments of a restore that goes well."""
        return self.mortal.moments()

    def die(self, death: Death) -> str:
        """Let a restore die, and one go well after it; return what became of the first."""
        self.spoil()
        ended = self.mortal.die(death)
        self.mend(ended)
        return ended

    def spoil(self) -> None:
        """Make the mistake for which the backup is to come back."""
        (self.bench.root / "run.sh").write_text("broken")
        os.utime(self.bench.root / "run.sh", (1, 1))
        self.bench.mariadb.sql("DELETE FROM orders WHERE id > 9", self.bench.database)

    def mend(self, ended: str) -> None:
        """Judge what one restore left, have another one, and judge what that left."""
        try:
            self._insist_on_one_or_the_other(ended)
        finally:
            self._restore_again()
        assert self.bench.fingerprint() == self.good, "the next restore does not mend it"
        assert not self._closed, "the next restore leaves the door closed"
        assert self.bench.spools == [], "the next restore does not clean up"
        left = {path.name for path in self.bench.root.parent.iterdir()} - self.beside
        assert not left, f"{left} is left beside the site"

    def _restore(self, moments: Moments) -> None:
        one_by_one = not moments.death or moments.death.who != CONTROLLER
        with (
            holding(self.bench.vault, moments.passes) as vault,
            patch.object(restore_fetch, "AT_ONCE", 1 if one_by_one else restore_fetch.AT_ONCE),
        ):
            line = Counting(self._line(), moments)
            self.bench.restore(self.snapshot, transport=line, vault=vault)
            line.close()

    def _restore_again(self) -> None:
        with holding(self.bench.vault) as vault:
            line = self._line()
            self.bench.restore(self.snapshot, transport=line, vault=vault)
            line.close()

    def _insist_on_one_or_the_other(self, ended: str) -> None:
        """Whoever is let in finds the site as before, or whole."""
        if self._closed:
            files = tree(self.bench.root)
            files.pop("closed", None)
            assert files in ({}, self.good[0], self.bad[0]), "the files are mixed"
            assert not ended.startswith("whole"), "a restore that went well left the door closed"
        else:
            now = self.bench.fingerprint()
            assert now in (self.good, self.bad), "the site is mixed, and open"
            assert now == self.good or not ended.startswith("whole"), "it is not whole"

    @property
    def _closed(self) -> bool:
        """Return whether nobody is let in; in the middle of a switch there is no site at all."""
        return not self.bench.root.exists() or (self.bench.root / "closed").exists()
