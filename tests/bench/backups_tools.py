"""opsplay, restic and borgmatic, each as its own users would set it up for one site.

opsplay runs on the controller and reaches the host over SSH; restic and borgmatic run on the host
itself. restic and opsplay store through S3; borg cannot, and gets a directory on the same disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import boto3
import yaml
from tests.bench import environments
from tests.bench.backups_site import Shop
from tests.bench.contenders import BIN
from tests.bench.hosts import PATH, Fleet
from tests.bench.timing import Command
from tests.vaults.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed

What = Literal["files", "both"]


@dataclass(frozen=True)
class Setting:
    """Where one tool works in one round, with an empty storage."""

    place: Path
    """An empty directory of its own."""
    number: int
    shop: Shop
    fleet: Fleet
    storage: Seaweed
    say: Callable[[str], None]

    @property
    def bucket(self) -> str:
        """Return the name of this round's own bucket."""
        return f"{self.place.name}-{self.number}-{os.getpid()}"

    @cached_property
    def client(self) -> Any:
        """Return a client of the storage."""
        return boto3.client(
            "s3", endpoint_url=self.storage.endpoint, region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
        )  # fmt: skip

    def in_bucket(self) -> int:
        """Return the bytes of all objects in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sum(one["Size"] for page in pages for one in page.get("Contents", ()))


class Tool(Protocol):
    """One tool, set up with an empty storage."""

    name: str
    over_ssh: bool

    def save(self, what: What) -> Command:
        """Return what saves the files, or files and database."""
        ...

    def restore(self, what: What) -> Command:
        """Return what brings the newest backup back in place."""
        ...

    def stored(self) -> int:
        """Return how many bytes the storage holds."""
        ...


def _environment(place: Path, more: Mapping[str, str]) -> dict[str, str]:
    home = place / "home"
    home.mkdir(exist_ok=True)
    told = {"HOME": str(home), "PATH": f"{PATH}{os.pathsep}{BIN}", "LANG": "C.UTF-8"}
    return told | {"USER": "root", **more}


@dataclass
class Opsplay:
    """One site in an ops repository, its vault in a bucket."""

    setting: Setting
    name: str = "opsplay"
    over_ssh: bool = True
    _environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        setting, place = self.setting, self.setting.place
        for folder in ("inventory", "playbooks"):
            (place / folder).mkdir()
        words = ["age-keygen", "-o", str(place / "key.txt")]
        subprocess.run(words, check=True, capture_output=True)
        setting.client.create_bucket(Bucket=setting.bucket)
        for what, include in (("files", ["files"]), ("both", ["database", "files"])):
            stages = [{"name": "Save", "steps": [{"backup": {"include": include}}]}]
            book = {"name": f"Save {what}", "stages": stages}
            (place / f"playbooks/{what}.yaml").write_text(yaml.safe_dump(book, sort_keys=False))
        (place / "inventory/bench.yaml").write_text(
            yaml.safe_dump(self._inventory(), sort_keys=False)
        )
        keys = {"BENCH_ACCESS": ACCESS_KEY, "BENCH_SECRET": SECRET_KEY}
        self._environment = _environment(place, keys)

    def save(self, what: What) -> Command:
        return self._command("run", f"playbooks/{what}.yaml", "--yes")

    def restore(self, what: What) -> Command:
        parts = "files" if what == "files" else "database,files"
        return self._command("restore", "shop", f"--include={parts}", "--yes")

    def stored(self) -> int:
        return self.setting.in_bucket()

    def _command(self, *words: str) -> Command:
        return Command((str(BIN / "opsplay"), *words), self.setting.place, self._environment)

    def _inventory(self) -> dict[str, Any]:
        setting = self.setting
        keys = (setting.place / "key.txt").read_text().split()
        recipient = next(word for word in keys if word.startswith("age1"))
        here = {
            "host": setting.fleet.hosts[0].address,
            "root": str(setting.shop.root),
            "url": "http://127.0.0.1:9",
        }
        return {
            "client": "Bench",
            "ssh": {"config": str(setting.fleet.ssh_config)},
            "sites": {
                "shop": {
                    "cms": "wordpress", "vault": "offsite", "environments": {"production": here}
                }
            },
            "vaults": {
                "offsite": {
                    "kind": "s3",
                    "endpoint": setting.storage.endpoint,
                    "bucket": setting.bucket,
                    "access_key": {"secret": "env:BENCH_ACCESS"},
                    "secret_key": {"secret": "env:BENCH_SECRET"},
                    "recipients": [recipient],
                    "identity": {"secret": "file:key.txt"},
                }
            },
        }  # fmt: skip


@dataclass
class Restic:
    """A repository in a bucket; the dump goes in by standard input, as restic's manual says."""

    setting: Setting
    name: str = "restic"
    over_ssh: bool = False
    _environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        setting = self.setting
        repository = f"s3:{setting.storage.endpoint}/{setting.bucket}"
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        told = {**keys, "RESTIC_REPOSITORY": repository, "RESTIC_PASSWORD": "bench"}
        self._environment = _environment(setting.place, told)
        _access(setting)
        setting.client.create_bucket(Bucket=setting.bucket)
        _ran(self._shell("restic init"))

    def save(self, what: What) -> Command:
        files = f"restic backup -q --tag files {self.setting.shop.root}"
        dump = (
            f"{_DUMP} {self.setting.shop.name} | restic backup -q --stdin --stdin-filename db.sql"
        )
        return self._shell(files if what == "files" else f"{dump} --tag db && {files}")

    def restore(self, what: What) -> Command:
        files = "restic restore -q --tag files latest --target /"
        load = f"{_LOAD} {self.setting.shop.name}"
        dump = f"restic dump -q --tag db latest db.sql | {load}"
        return self._shell(files if what == "files" else f"{dump} && {files}")

    def stored(self) -> int:
        return self.setting.in_bucket()

    def _shell(self, text: str) -> Command:
        return Command(
            ("bash", "-euo", "pipefail", "-c", text), self.setting.place, self._environment
        )


_DUMP = "mariadb-dump --defaults-extra-file=access.cnf --single-transaction --hex-blob"
_LOAD = "mariadb --defaults-extra-file=access.cnf"


@dataclass
class Borgmatic:
    """A repository in a directory: borg has no S3. borgmatic streams the dump by itself."""

    setting: Setting
    name: str = "borgmatic"
    over_ssh: bool = False
    _environment: dict[str, str] = field(default_factory=dict)
    _program: str = ""

    def __post_init__(self) -> None:
        setting, place = self.setting, self.setting.place
        self._program = str(environments.environment("borgmatic", setting.say) / "borgmatic")
        self._environment = _environment(place, {"BORG_BASE_DIR": str(place)})
        common = {
            "repositories": [{"path": str(self._repository)}],
            "encryption_passphrase": "bench",
            "compression": "zstd,3",
            "archive_name_format": "{now}",
            "source_directories": [str(setting.shop.root)],
        }
        name, socket = setting.shop.name, str(setting.shop.database.socket)
        database = {"name": name, "username": name, "password": name, "socket_path": socket}
        for what, more in (("files", {}), ("both", {"mariadb_databases": [database]})):
            (place / f"{what}.yaml").write_text(yaml.safe_dump(common | more))
        _ran(self._borgmatic("files", "repo-create", "--encryption", "repokey-blake2"))

    def save(self, what: What) -> Command:
        return self._borgmatic(what, "create")

    def restore(self, what: What) -> Command:
        # borg puts names back below the directory where it is started.
        extract = self._words(what, "extract", "--archive", "latest", "--destination", "/")
        words = " ".join(extract)
        if what == "both":
            words = f"{words} && {' '.join(self._words(what, 'restore', '--archive', 'latest'))}"
        return Command(("bash", "-euc", words), self.setting.place, self._environment)

    def stored(self) -> int:
        return sum(path.stat().st_size for path in self._repository.rglob("*") if path.is_file())

    @property
    def _repository(self) -> Path:
        return self.setting.place / "repository"

    def _words(self, what: str, *words: str) -> tuple[str, ...]:
        config = str(self.setting.place / f"{what}.yaml")
        return (self._program, "--config", config, "--verbosity", "-1", *words)

    def _borgmatic(self, what: str, *words: str) -> Command:
        return Command(self._words(what, *words), self.setting.place, self._environment)


def _access(setting: Setting) -> None:
    name, socket = setting.shop.name, setting.shop.database.socket
    text = f"[client]\nsocket={socket}\nuser={name}\npassword={name}\n"
    (setting.place / "access.cnf").write_text(text)


def _ran(command: Command) -> None:
    done = subprocess.run(
        command.words, cwd=command.folder, env=dict(command.environment), capture_output=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command.words}: {done.stdout.decode()}{done.stderr.decode()}")


TOOLS: Mapping[str, Callable[[Setting], Tool]] = {
    "opsplay": Opsplay,
    "restic": Restic,
    "borgmatic": Borgmatic,
}
_PROGRAMS = {"restic": "restic", "borgmatic": "borg"}
_PACKAGES = {"restic": "restic", "borg": "borgbackup"}


def there(name: str, say: Callable[[str], None]) -> bool:
    """Return whether a tool can be had: what Debian packages is installed where that is possible."""
    program = _PROGRAMS.get(name)
    if program is None or shutil.which(program):
        return True
    say(f"installing {_PACKAGES[program]}")
    words = ["apt-get", "install", "-y", "-q", "--no-install-recommends", _PACKAGES[program]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(words, check=False, capture_output=True)
    if not shutil.which(program):
        say(f"{name} is left out: {program} is not installed (Debian: {_PACKAGES[program]})")
    return bool(shutil.which(program))


def versions() -> str:
    """Return the versions of the peers, as a sentence's part."""
    told = []
    for program, flag in (("restic", "version"), ("borg", "--version")):
        if shutil.which(program):
            said = subprocess.run(
                [program, flag], capture_output=True, encoding="utf-8", check=False
            )
            told.append(" ".join(said.stdout.split()[:2]))
    return ", ".join([*told, f"borgmatic {environments.version('borgmatic')}"])
