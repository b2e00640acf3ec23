"""Hosts of other makes: what is on the PATH decides what a host's script finds."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

GNU = [
    "awk",
    "basename",
    "cat",
    "chmod",
    "comm",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "grep",
    "gzip",
    "head",
    "id",
    "ls",
    "mkdir",
    "mkfifo",
    "mv",
    "nice",
    "od",
    "printf",
    "readlink",
    "renice",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tar",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "wc",
    "xargs",
    "sha256sum",
    "base64",
    "mktemp",
    "ionice",
]
DATABASE = ("mariadb", "mariadb-dump")
MORE = {
    "gnu": ("openssl", "zstd", "age", "curl"),
    "no-openssl": ("zstd", "age", "curl"),
    "busybox": ("curl", "age"),
    "busybox-php": ("php",),
    "no-age": ("php", "curl", "zstd"),
    "bare": ("curl",),
}
HOSTS = ("gnu", "no-openssl", "busybox", "busybox-php")


@dataclass
class Userland:
    """A directory of tools that becomes the host's PATH."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    survey: str = field(default="find")

    def become(self, host: str) -> None:
        busybox = host.startswith("busybox")
        for tool in (*DATABASE, *MORE[host]):
            self.link(tool)
        for tool in GNU:
            self.link(tool, "busybox" if busybox else "")
        self.survey = {"busybox": "stat", "busybox-php": "php"}.get(host, "find")
        self.monkeypatch.setenv("PATH", os.fspath(self.folder))

    def link(self, tool: str, target: str = "") -> None:
        real = shutil.which(target or tool, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if real and not (self.folder / tool).exists():
            (self.folder / tool).symlink_to(real)

    def shim(self, tool: str, script: str) -> None:
        """Put a tool that misbehaves before the real one."""
        (self.folder / tool).unlink(missing_ok=True)
        (self.folder / tool).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / tool).chmod(0o755)
        path = os.environ["PATH"]
        if os.fspath(self.folder) not in path:
            self.monkeypatch.setenv("PATH", f"{self.folder}:/usr/sbin:/usr/bin:/sbin:/bin")
