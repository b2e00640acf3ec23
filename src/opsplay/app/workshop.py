"""Joins the concrete parts: connections, vaults, journal, language. Nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from opsplay import cms, steps
from opsplay.app.certificates import Certificates, scratch_environment
from opsplay.app.indexes import FolderIndexes
from opsplay.app.options import Options
from opsplay.app.signing import Keys
from opsplay.core.environment import Host
from opsplay.core.errors import OpsplayError
from opsplay.core.event import Event, State
from opsplay.core.playbook import Declaration, Inventory, Playbook
from opsplay.core.site import Site
from opsplay.core.step import Step
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.tools import Tools
from opsplay.journal import Journal, open_journal
from opsplay.kit.secret import Redactor, Secret
from opsplay.language.build import build_step, is_true
from opsplay.language.scopes import scope
from opsplay.transports import Pool, open_transport

if TYPE_CHECKING:
    from opsplay.engine.upkeep import Upkeep


def load_kinds() -> None:
    """Make all step kinds and CMS drivers known."""
    cms.load()
    steps.load()


class _Language:
    """The language as the engine wants it: bound to one ops repository."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    def scope(
        self, playbook: Playbook, site: Site, registered: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        names: Mapping[str, Any] = scope(playbook, site, registered)
        return names

    def build_step(self, declaration: Declaration, scope: Mapping[str, Any]) -> Step[Any]:
        return build_step(declaration, scope, repository=self._repository)

    def is_true(self, when: str, scope: Mapping[str, Any]) -> bool:
        return is_true(when, scope)


class Workshop:
    """The concrete parts of one command; a context manager that closes what it opened."""

    def __init__(self, options: Options, inventory: Inventory) -> None:
        self.options = options
        self.inventory = inventory
        self.redactor = Redactor()
        self.clock = options.clock
        self.language = _Language(options.inventory.parent)
        self.keys = Keys(options.state, self.redactor.learn)
        self.pool = Pool(self._open)
        self._lines: dict[Host, Transport] = {}
        """The transports to the hosts themselves, without what is around them."""
        self._told: Callable[[Host, OpsplayError, int, float], None] = _untold
        self._vaults: dict[str, tuple[Vault, VaultSettings]] = {}
        self._checking = False
        self._journal: Journal | None = None
        self.epoch = 0
        """Sequence of the event by which this process began or resumed its run."""

    @classmethod
    def for_checking(cls, options: Options, inventory: Inventory) -> Workshop:
        """Return a workshop whose transports let nothing through but declared questions."""
        workshop = cls(options, inventory)
        workshop._checking = True
        return workshop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()
        if self._journal is not None:
            self._journal.close()

    def _open(self, host: Host) -> Transport:
        from opsplay.transports.redact import Redact
        from opsplay.transports.retry import Retry

        def tell(error: OpsplayError, attempt: int, seconds: float) -> None:
            self._told(host, error, attempt, seconds)

        # Whatever the engine sends by `run` may be sent twice: questions change nothing, jobs
        # start once, locks know their holder.
        self._lines[host] = open_transport(host)
        line = Retry(
            self._lines[host],
            tell,
            safe=lambda _script: True,
            clock=self.clock,
            hurried=lambda: self.options.stop.at_once,
        )
        transport: Transport = Redact(line, self.redactor)
        if self._checking:
            from opsplay.transports.dry import DryRun

            transport = DryRun(transport)
        return transport

    def transport(self, host: Host) -> Transport:
        """Return the one line to a host."""
        return self.pool.get(host)

    def expect(self, host: Host) -> None:
        """Say that a script for a host follows soon; where that needs preparing, it begins now."""
        line: Any = self._lines.get(host)
        if hasattr(line, "expect"):
            line.expect()

    def declare(self, transport: Transport, script: str) -> None:
        """Declare a script of questions to a transport that lets nothing else through."""
        from opsplay.transports.dry import DryRun

        if isinstance(transport, DryRun):
            transport.allow(script)

    def round_trips(self) -> dict[str, int]:
        """Return the round trips to each host so far."""
        return {
            str(transport.host): transport.counters.round_trips
            for transport in self.pool.transports
        }

    def vault(self, name: str) -> tuple[Vault, VaultSettings]:
        """Return an opened vault and its settings; every secret of it is masked from now on."""
        if name not in self._vaults:
            from opsplay.vaults import open_vault

            settings = self.inventory.vaults.get(name)
            if settings is None:
                known = ", ".join(sorted(self.inventory.vaults)) or "none"
                raise OpsplayError(f"no vault {name!r} in the inventory (known: {known})")
            told = self._masking(settings)
            self._vaults[name] = (open_vault(told), told)
        return self._vaults[name]

    def upkeep(self, site: Site) -> Upkeep:
        """Return what verifies a site's backups and takes them away."""
        from opsplay.engine.keys import opened
        from opsplay.engine.upkeep import Upkeep
        from opsplay.vaults import open_vault

        vault, settings = opened(self, site)
        return Upkeep(
            site=site,
            vault=vault,
            settings=settings,
            deleter=lambda: open_vault(settings, expiring=True),
            signer=self.keys.signer,
            keys=self.keys.trusted,
            transport=self.transport,
            clock=self.clock,
            progress=self.options.progress,
        )

    def learn(self, *secrets: str) -> None:
        """Have secret values masked from now on."""
        self.redactor.learn(*secrets)

    def _masking(self, settings: VaultSettings) -> VaultSettings:
        return replace(
            settings,
            access_key=self._masked(settings.access_key),
            secret_key=self._masked(settings.secret_key),
            identity=self._masked(settings.identity),
            expiry_access_key=self._masked(settings.expiry_access_key),
            expiry_secret_key=self._masked(settings.expiry_secret_key),
            signing_key=self._masked(settings.signing_key),
        )

    def _masked(self, secret: Secret | None) -> Secret | None:
        if secret is None:
            return None

        def fetch(_reference: str) -> str:
            value = secret.reveal()
            self.redactor.learn(value, *value.splitlines())
            return value

        return Secret(secret.reference, fetch)

    def journal(self) -> Journal:
        """Open the ops repository's journal, with this command's secrets masked in it."""
        self._journal = open_journal(self.options.journal_at, self.clock, self.redactor)
        return self._journal

    def tools(self, journal: Journal, run: str) -> Tools:
        """Return what the engine acts through, for one run."""

        def told(host: Host, error: OpsplayError, attempt: int, seconds: float) -> None:
            data = {
                "host": str(host),
                "error": str(error),
                "attempt": attempt,
                "wait_seconds": round(seconds, 2),
            }
            journal.append(run, "retry", "", data)

        self._told = told
        return Tools(
            record=journal,
            clock=self.clock,
            transport=self.transport,
            vault=self.vault,
            language=self.language,
            events=journal.events,
            last_change=lambda site, where, but: last_change(journal, site, where, but),
            progress=self.options.progress,
            learn=self.learn,
            stop=self.options.stop,
            concurrency=self.options.forks,
            any_hour=self.options.any_hour,
            epoch=self.epoch,
            indexes=FolderIndexes(self.options.state / "indexes", self.clock),
            signer=self.keys.signer,
            trusted=self.keys.trusted,
            scratch=scratch_environment,
            certify=Certificates(self.options.state).keep,
            upkeep=self.upkeep,
        )


def _untold(_host: Host, _error: OpsplayError, _attempt: int, _seconds: float) -> None:
    pass


def undoable(intent: Event) -> bool:
    """Return whether an act has a way back: its own, or the restore point."""
    return bool(intent.data["covered"] or intent.data["undo"])


def last_change(journal: Journal, site: str, environment: str, but: str) -> str:
    """Return the last run but one whose changes to an environment still stand.

    Runs that were rolled back, by themselves or later, do not count. Raises OpsplayError when there
    is none.
    """
    standing: list[str] = []
    for event in journal.events(site=site):
        if event.run == but:
            continue
        if event.kind == "intent" and undoable(event):
            if event.data["environment"] == environment and event.run not in standing:
                standing.append(event.run)
        elif undone := _undone(event):
            standing = [run for run in standing if run != undone]
    if not standing:
        raise OpsplayError(
            f"no run changed {environment} in a way that still stands",
            site=site,
            state="nothing was changed",
            next_command="invoke logs",
        )
    return standing[-1]


def _undone(event: Event) -> str:
    if event.kind == "rollback_finished" and event.data["state"] == State.ROLLED_BACK:
        return event.run
    return str(event.data["facts"].get("undone", "")) if event.kind == "result" else ""
