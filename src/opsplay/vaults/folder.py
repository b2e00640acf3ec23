"""A vault in a folder of the controller: a disk, a mounted share. Written once, fsynced.

It keeps one version of each object and cannot lock: whoever may write into a folder may delete from
it. Asking it for locks is refused when it is opened, rather than promised and not kept.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from opsplay.core.errors import InvalidInput, Unreachable, VaultRefused
from opsplay.core.vault import SignedPut, StoredObject, VaultSettings

_CHUNK = 1 << 20
_TEMPORARY = ".part-"


class FolderVault:
    """Objects are files; a key is a path below the folder."""

    signs = False
    checksum: Literal["sha256"] = "sha256"

    def __init__(self, settings: VaultSettings) -> None:
        if not settings.folder:
            raise InvalidInput(f"vault {settings.name}: a folder vault needs `folder`")
        if settings.lock != "none":
            raise InvalidInput(
                f"vault {settings.name}: a folder cannot keep `lock: {settings.lock}`: who may write"
                " into it may delete as well. Leave `lock` out, or take an s3 vault with Object Lock"
            )
        self.name = settings.name
        self._folder = Path(settings.folder).expanduser()

    def sign_put(
        self,
        key: str,
        sha256: str,
        length: int,
        seconds: int = 900,
        *,
        retain_until: datetime | None = None,
        md5: str = "",
    ) -> SignedPut:
        raise VaultRefused(f"vault {self.name} cannot sign: its bytes travel through opsplay")

    def sign_get(self, key: str, seconds: int = 900) -> str:
        raise VaultRefused(f"vault {self.name} cannot sign: its bytes travel through opsplay")

    def put(
        self,
        key: str,
        body: bytes,
        *,
        replace: bool = False,
        retain_until: datetime | None = None,
    ) -> StoredObject:
        path = self._path(key)
        with self._in_plain_words():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_once(path, body, replace=replace)
        return StoredObject(key, len(body), hashlib.sha256(body).hexdigest())

    def head(self, key: str) -> StoredObject | None:
        path = self._path(key)
        if not path.is_file():
            return None
        digest = hashlib.sha256()
        for chunk in self.get(key):
            digest.update(chunk)
        return StoredObject(key, path.stat().st_size, digest.hexdigest(), modified=_modified(path))

    def get(self, key: str, first: int = 0) -> Iterator[bytes]:
        with self._in_plain_words(), self._path(key).open("rb") as file:
            if first:
                yield file.read(first)
                return
            while chunk := file.read(_CHUNK):
                yield chunk

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        for path in sorted(self._below(prefix), key=self._key):
            stat = path.stat()
            yield StoredObject(self._key(path), stat.st_size, modified=_modified(path))

    def versions(self, prefix: str) -> Iterator[StoredObject]:
        yield from self.keys(prefix)

    def delete(self, key: str, version_id: str = "") -> None:
        path = self._path(key)
        with self._in_plain_words():
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _flush_folder(path.parent)

    def _below(self, prefix: str) -> Iterator[Path]:
        start = self._folder / PurePosixPath(prefix).parent if prefix else self._folder
        with self._in_plain_words():
            for path in start.rglob("*") if start.is_dir() else ():
                if path.is_file() and not path.name.startswith(_TEMPORARY):
                    yield from (path,) if self._key(path).startswith(prefix) else ()

    def _key(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise VaultRefused(f"vault {self.name}: {key!r} is not a key below {self._folder}")
        return self._folder.joinpath(*parts)

    @contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError as error:
            what = f"vault {self.name} already holds {error.filename2 or error.filename}"
            raise VaultRefused(f"{what}; nothing was replaced") from error
        except FileNotFoundError as error:
            raise VaultRefused(f"vault {self.name} does not hold {error.filename}") from error
        except OSError as error:
            what = f"vault {self.name}: {error.strerror} ({error.filename or self._folder})"
            raise Unreachable(what, next_command=f"df -h {self._folder}") from error


def _write_once(path: Path, body: bytes, *, replace: bool) -> None:
    """Write beside, flush to the disk, then give it its name: whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            beside.replace(path)
        else:
            path.hardlink_to(beside)  # fails where a name exists, as O_EXCL does
        _flush_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
