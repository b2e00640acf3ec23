"""One lab: brought up, looked at, reset and taken down."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from opsplay.core.errors import LabBroken
from opsplay.lab import (
    database,
    facts,
    hosts,
    observing,
    offers,
    packages,
    parts,
    ports,
    sites,
    storage,
    web,
)
from opsplay.lab.packages import Progress
from opsplay.lab.places import DAEMONS, SITES, LabEnvironment, Places
from opsplay.lab.processes import Daemon, Processes
from opsplay.lab.relay import Relay
from opsplay.lab.updates import source_daemon

_READY = "ready"


def _silent(_text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Status:
    """Whether a lab is there, and which of its daemons run."""

    directory: Path
    daemons: Mapping[str, bool]
    pages: Mapping[str, str]
    """Address of each environment's home page."""

    @property
    def up(self) -> bool:
        return bool(self.daemons) and all(self.daemons.values())


class Lab:
    """A lab that runs. Get one by `Lab.up(directory)`."""

    def __init__(self, places: Places, made: parts.Parts) -> None:
        self.places = places
        self.parts = made
        self.processes = Processes(places.directory)

    @classmethod
    def up(cls, directory: Path, *, progress: Progress = _silent) -> Lab:
        """Return the lab in the directory, running; makes it, or starts what died.

        Raises:
            LabBroken: something is missing that this user may not install, the directory holds
                other things than a lab, or a daemon did not start.
        """
        directory = _fitting(directory.resolve())
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = cls.prepare(progress)
        with packages.locked(directory / ".lock"):
            first = _usable(directory) or ports.reserve(directory)
            lab = cls(Places(directory, first), made)
            if not (directory / _READY).exists():
                lab._build(progress)
            lab._start(progress)
            if not (directory / _READY).exists():
                lab._open(progress)
        return lab

    @staticmethod
    def prepare(progress: Progress) -> parts.Parts:
        """Return the parts; installs and fetches what any lab needs and is not there yet.

        Raises:
            LabBroken: something is missing that this user may not install.
        """
        packages.install(progress)
        return parts.gather(progress)

    @classmethod
    def at(cls, directory: Path) -> Lab:
        """Return the lab in the directory as it is. Raises LabBroken when there is none."""
        directory = directory.resolve()
        if not (directory / _READY).exists():
            raise LabBroken(f"no lab in {directory}", next_command="invoke lab.up")
        return cls(Places(directory, ports.remembered(directory)), parts.gather(_silent))

    @staticmethod
    def status(directory: Path) -> Status:
        """Return what runs; all empty when the directory holds no lab."""
        directory = directory.resolve()
        first = ports.remembered(directory)
        if not first:
            return Status(directory, {}, {})
        processes = Processes(directory)
        pages = {one.key: one.url for one in Places(directory, first).environments()}
        return Status(directory, {name: processes.alive(name) for name in DAEMONS}, pages)

    def down(self, *, remove: bool = False) -> None:
        """End every process of the lab and wait; `remove` deletes its directory too."""
        take_down(self.places.directory, remove=remove)

    def reset(self, site: str | None = None) -> None:
        """Make one site pristine again, or the whole lab with bucket, offers and hosts."""
        self._start(_silent)
        if site is None:
            self.processes.end_strays(self.processes.daemon_pids())
            self.offer_updates()
        chosen = tuple(SITES) if site is None else (site,)
        self._empty_bucket("" if site is None else f"v1/{site}/")
        for one in (one for name in chosen for one in self.places.environments(name)):
            hosts.clear(self.places, one.host)
        self._lay_out(chosen, _silent)

    @property
    def facts(self) -> dict[str, str]:
        """Return what an inventory must know, as in `facts.yaml`."""
        return facts.facts(self.places)

    def environment(self, site: str, environment: str) -> LabEnvironment:
        """Return where one installation is."""
        return self.places.environment(site, environment)

    def fingerprint(self, site: str, environment: str) -> observing.Fingerprint:
        """Return hashes of all files and checksums of all tables; nothing boots."""
        return observing.fingerprint(self.places, self.environment(site, environment))

    def version(self, site: str, environment: str) -> observing.Versions:
        """Return the WordPress version as files, database and page tell it."""
        return observing.versions(self.places, self.environment(site, environment))

    def page(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Return status and body of a page."""
        return observing.page(url, headers)

    def sql(self, site: str, environment: str, statements: str) -> tuple[tuple[str, ...], ...]:
        """Return the rows that the statements gave, as texts, run as the server's administrator."""
        return database.execute(
            self.places, statements, self.environment(site, environment).database
        )

    def offer(
        self, *, core: Iterable[str] | None = None, plugins: Mapping[str, str] | None = None
    ) -> None:
        """Change what the update source offers; what is not given stays as it is."""
        now = offers.load(self._offered)
        replace(
            now,
            core=now.core if core is None else tuple(core),
            plugins=now.plugins if plugins is None else dict(plugins),
        ).save(self._offered)

    def offer_updates(self) -> None:
        """Offer what a fresh lab offers: the next WordPress and both plugins' good updates."""
        offers.default(self.parts).save(self._offered)

    def switch_fatal(self, site: str, environment: str, *, on: bool) -> None:
        """Make lab-shop 1.3.0 die (or live) on this one environment."""
        switch = self.environment(site, environment).fatal_switch
        if on:
            switch.touch()
        else:
            switch.unlink(missing_ok=True)

    def stop_source(self) -> None:
        """Play an unreachable update source."""
        self.processes.stop(["source"])

    def start_source(self) -> None:
        """Let the update source answer again."""
        self.processes.start([source_daemon(self.places, self.parts)])

    def relay(self, service: str) -> Relay:
        """Return a relay (a context manager) in front of `web1`, `web2`, `web3` or `s3`.

        Its port is the one that `lab-web1-relay` and so on have in the lab's ssh_config; relay of
        `s3`: fact `lab_s3_relay_endpoint`.
        """
        name = service if service == "s3" else f"ssh-{service}"
        return Relay(self.places.port(f"{name}-relay"), self.places.port(name))

    @property
    def _offered(self) -> Path:
        return self.places.source / "offers.json"

    def _daemons(self) -> list[Daemon]:
        return [
            database.daemon(self.places),
            storage.daemon(self.places),
            *hosts.daemons(self.places),
            *web.daemons(self.places),
            source_daemon(self.places, self.parts),
        ]

    def _start(self, progress: Progress) -> None:
        started = self.processes.start(self._daemons())
        if started:
            progress(f"started {', '.join(started)}")

    def _build(self, progress: Progress) -> None:
        progress("making keys and configurations")
        for place in (self.places.secrets, self.places.logs, self.places.source):
            place.mkdir(mode=0o700, exist_ok=True)
        for one in self.places.environments():
            (one.home / "logs").mkdir(parents=True, exist_ok=True)
        self.offer_updates()
        hosts.build(self.places, self.parts.wp_cli)
        web.build(self.places)
        storage.build(self.places)
        database.build(self.places)
        facts.write(self.places)

    def _open(self, progress: Progress) -> None:
        database.admit(self.places)
        storage.open_bucket(self.places)
        self._lay_out(tuple(SITES), progress)
        (self.places.directory / _READY).touch()

    def _lay_out(self, names: tuple[str, ...], progress: Progress) -> None:
        def one(site: str) -> None:
            kept = sites.pristine(self.places, self.parts, site, progress)
            sites.lay_out(self.places, site, kept)

        with ThreadPoolExecutor() as pool:
            list(pool.map(one, names))
        self._start(_silent)
        web.let_go_of_old_code(self.environment(names[0], "production"))

    def _empty_bucket(self, prefix: str) -> None:
        if storage.empty_bucket(self.places, prefix):
            return
        self.processes.stop(["s3"], patience=0.0)
        storage.wipe(self.places)
        self._start(_silent)
        storage.open_bucket(self.places)


def take_down(directory: Path, *, remove: bool = False) -> None:
    """End every process of the lab in the directory, whatever state the lab is in."""
    directory = directory.resolve()
    processes = Processes(directory)
    processes.stop(patience=0.5 if remove else 10.0)
    processes.end_strays()
    for socket in ports.sockets_of_s3(ports.remembered(directory)):
        socket.unlink(missing_ok=True)
    if remove:
        shutil.rmtree(directory, ignore_errors=True)


_LONGEST = 80
"""Bytes; a Unix socket's whole path may have 107."""


def _fitting(directory: Path) -> Path:
    if len(bytes(directory)) > _LONGEST or any(one in " \t\n\"'" for one in str(directory)):
        raise LabBroken(
            f"{directory} cannot hold a lab: sockets and configurations need a path of at most "
            f"{_LONGEST} bytes without spaces or quotes",
            next_command="invoke lab.up --dir /tmp/lab",
        )
    return directory


def _usable(directory: Path) -> int:
    """Return the first port of the lab that is there; clears away what is left of a broken one."""
    first = ports.remembered(directory)
    if not first:
        strange = [one.name for one in directory.iterdir() if one.name != ".lock"]
        if strange:
            raise LabBroken(f"{directory} is no lab and not empty ({strange[0]}); nothing was done")
        return 0
    runs = any(Lab.status(directory).daemons.values())
    if (directory / _READY).exists() and (runs or ports.block_free(first)):
        return first
    take_down(directory)
    for one in directory.iterdir():
        if one.name != ".lock":
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    return 0
