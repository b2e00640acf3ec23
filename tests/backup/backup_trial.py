"""A site whose backups die: what each death may leave, and that the next backup is good."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace

from tests.backup.conftest import Bench
from tests.backup.deaths import Death
from tests.backup.holding_storage import holding, in_a_folder
from tests.backup.killing import Counting, Moments, Mortal
from tests.backup.vault_reading import on_disk, plain, rebuilt

from opsplay.core.snapshot import Snapshot
from opsplay.core.transport import Transport
from opsplay.engine.snapshots import load, manifest_keys, verify_listing

SEGMENT = 8 << 16
_MORE_THAN_PIPES_HOLD = 1_700_000
"""Bytes of one stream: two segments, all pipes between, and a rest for which its source must wait."""
_FILLER = "CREATE TABLE filler AS SELECT seq, TO_BASE64(RANDOM_BYTES(1000)) t FROM seq_1_to_2800;"
_SPOOL = 2 * SEGMENT + (256 << 10)
"""What a dead backup may leave: two segments, lists and programs."""
_ROUND = 50


class Trial:
    """Each backup that dies has a good one to stand on, and one more that goes well after it."""

    def __init__(self, bench: Bench, line: Callable[[], Transport] | None = None) -> None:
        self.bench = bench
        in_a_folder(bench)
        self._line = line or (lambda: bench.transport)
        self._attempt = 0
        self._deaths = 0
        self.mortal = Mortal(bench.home, bench.home.parent / "tools", self._take)
        bench.mariadb.sql(_FILLER, bench.database)
        self._change()
        self.good = self._take_another()

    def moments(self) -> list[str]:
        """Return the moments of an incremental backup that goes well."""
        return self.mortal.moments()

    def deaths(self) -> list[Death]:
        """Return every death of an incremental backup."""
        found = self.mortal.deaths()
        self._go_on()
        return found

    def die(self, death: Death) -> str:
        """Let a backup die, and one go well after it; return what became of the first."""
        self._deaths += 1
        if self._deaths % _ROUND == 0:
            self._begin_anew()
        before = manifest_keys(self.bench.vault, self.bench.site.name)
        ended = self.mortal.die(death)
        self._go_on()  # as the child's copy of us did
        try:
            self._insist_on_whole(before, ended)
            self._insist_on_little_left()
        finally:
            self.good = self._take_another()
        assert self.good.base, "the next backup does not stand on the last good one"
        assert verify_listing(self.bench.vault, self.good) == ()
        assert self.bench.spools == [], "the next backup did not clean up"
        return ended

    def _begin_anew(self) -> None:
        """Go on with an empty storage: listings would become longer and longer."""
        shutil.rmtree(self.bench.settings.folder)
        self.bench.site = replace(self.bench.site, name=f"shop-{self._deaths}")
        self.good = self._take_another()

    def _take(self, moments: Moments) -> Snapshot:
        self._change()
        with holding(self.bench.vault, moments.passes) as vault:
            return self._taken(Counting(self._line(), moments), vault, SEGMENT)

    def _take_another(self) -> Snapshot:
        with holding(self.bench.vault) as vault:
            return self._taken(self._line(), vault, 4 * SEGMENT)

    def _taken(self, line: Transport, vault: object, segment_bytes: int) -> Snapshot:
        self._go_on()
        try:
            return self.bench.take(
                transport=line, vault=vault, attempt=self._attempt, segment_bytes=segment_bytes
            )
        finally:
            line.close()

    def _go_on(self) -> None:
        self._attempt += 1
        self.bench.clock.sleep(60)

    def _insist_on_whole(self, before: tuple[str, ...], ended: str) -> None:
        now = manifest_keys(self.bench.vault, self.bench.site.name)
        assert now[: len(before)] == before
        new = now[len(before) :]
        expected = {"killed": {0, 1}, "refused": {0}}.get(ended, {1})
        assert len(new) in expected, f"{ended}, and it is listed: {new}"
        for key in new:
            one = load(self.bench.vault, key)
            assert verify_listing(self.bench.vault, one) == (), "half a backup is listed as good"
            assert rebuilt(self.bench, one) == on_disk(self.bench.root), "not the site's files"
            (dump,) = (stream for stream in one.streams if stream.type == "db")
            assert b"-- Dump completed" in plain(self.bench, dump)[-200:]

    def _insist_on_little_left(self) -> None:
        left = [path for path in self.bench.home.rglob("*") if path.is_file()]
        spooled = [path for path in left if ".opsplay/spool" in str(path)]
        assert sum(path.stat().st_size for path in spooled) <= _SPOOL
        assert set(left) - set(spooled) == set(), "something is left outside of the spool"

    def _change(self) -> None:
        """Change code and an image, in two directories, and so two packs."""
        (self.bench.root / "a").mkdir(exist_ok=True)
        (self.bench.root / "a" / "code.php").write_bytes(os.urandom(50_000).hex().encode())
        (self.bench.root / "photo.jpg").write_bytes(os.urandom(_MORE_THAN_PIPES_HOLD))
