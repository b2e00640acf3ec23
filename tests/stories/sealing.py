"""Backups as they must not be: real ones, changed and sealed again as if nothing had happened."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyrage

from opsplay.core import index
from opsplay.core.index import Entry
from opsplay.core.snapshot import Segment, Snapshot, to_json
from opsplay.core.vault import VaultSettings
from opsplay.engine.signature import Signer
from opsplay.engine.snapshots import entries
from opsplay.engine.trust import Trust, find
from opsplay.kit.clock import SystemClock
from opsplay.kit.secret import Secret
from opsplay.lab import Lab
from opsplay.vaults import open_vault


class Sealing:
    """The newest backup of a site, and what is made of it."""

    def __init__(self, lab: Lab, state: Path, site: str) -> None:
        facts = lab.facts
        self.settings = VaultSettings(
            "offsite",
            "s3",
            endpoint=facts["lab_s3_endpoint"],
            region=facts["lab_s3_region"],
            bucket=facts["lab_s3_bucket"],
            access_key=_file(facts["lab_s3_access_key_file"]),
            secret_key=_file(facts["lab_s3_secret_key_file"]),
            recipients=(facts["lab_age_recipient"],),
            identity=_file(facts["lab_age_identity_file"]),
        )
        self.vault = open_vault(self.settings)
        self._state = state
        self._identity = pyrage.x25519.Identity.from_str(
            next(one for one in self.settings.identity.reveal().splitlines() if one[:3] == "AGE")
        )
        self.good = find(self.vault, site, "last", Trust((), SystemClock().now()))

    def forget(self) -> None:
        """Take away what was sealed here: the good backup is the newest again."""
        for one in list(self.vault.keys(f"{self.good.folder}/snap/20991231")):
            self.vault.delete(one.key)

    def sealed(self, name: str, **changes: Any) -> str:
        """Seal the good backup with changes, under a later name; return that name."""
        return self._seal(replace(self.good, snap=f"20991231T235959-{name}", **changes))

    def with_dump(self, name: str, change: Callable[[bytes], bytes]) -> str:
        """Seal it with another dump, which the manifest vouches for."""
        stream = self.good.stream("database")
        plain = change(self._plain(stream.segments))
        packed = subprocess.run(["zstd", "-qc"], input=plain, capture_output=True, check=True)
        segment = self._stored(f"{self.good.folder}/db/{name}.sql.zst.age.00000", packed.stdout)
        made = replace(
            stream,
            compression="zstd",
            raw_bytes=len(plain),
            raw_sha256=hashlib.sha256(plain).hexdigest(),
            segments=(segment,),
        )
        streams = tuple(made if one.name == "database" else one for one in self.good.streams)
        return self.sealed(name, streams=streams)

    def with_files(self, name: str, change: Callable[[tuple[Entry, ...]], Iterable[Entry]]) -> str:
        """Seal it with another list of files."""
        plain = index.to_text(change(entries(self.vault, self.good, self.settings)))
        segment = self._stored(f"{self.good.folder}/index/{name}.tsv.gz.age", gzip.compress(plain))
        made = replace(self.good.index, segment=segment, raw_sha256=index.sha256(plain))
        return self.sealed(name, index=made)

    def with_marks(self, name: str, **marks: str) -> str:
        """Seal it with other watermarks; `__` in a name stands for a colon."""
        seen = self.good.consistency
        told = {key.replace("__", ":"): value for key, value in marks.items()}
        marked = MappingProxyType({**seen.watermarks, **told})
        return self.sealed(name, consistency=replace(seen, watermarks=marked))

    def _plain(self, segments: Iterable[Segment]) -> bytes:
        stored = b"".join(b"".join(self.vault.get(one.key)) for one in segments)
        packed = pyrage.decrypt(stored, [self._identity])
        done = subprocess.run(["zstd", "-dqc"], input=packed, capture_output=True, check=True)
        return done.stdout

    def _stored(self, key: str, packed: bytes) -> Segment:
        body = pyrage.encrypt(packed, [self._identity.to_public()])
        stored = self.vault.put(key, body)
        return Segment(key, len(body), hashlib.sha256(body).hexdigest(), stored.version_id)

    def _seal(self, snapshot: Snapshot) -> str:
        text = to_json(snapshot)
        self.vault.put(snapshot.key, text)
        signer = Signer.of((self._state / "keys" / "signing").read_text())
        self.vault.put(f"{snapshot.key}.sig", signer.sign(text))
        return snapshot.snap


def _file(path: str) -> Secret:
    return Secret(f"file:{path}", lambda _reference: Path(path).read_text().strip())
