"""The ledger of erasure requests: kept beside the backups, carried out again after each restore.

Fails closed: while the ledger cannot be read as a whole, no restored site is opened to visitors.
Every request is an object of its own, encrypted and signed like a backup and never overwritten; it
names those that were there before, so that one that disappears is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from opsplay.core import erasure_sql as sql
from opsplay.core.erasure import (
    AT_MOST,
    SKEW,
    Applied,
    Entry,
    Erasure,
    due,
    from_json,
    key,
    missing,
    name_of,
    prefix,
    recorded,
    to_json,
)
from opsplay.core.errors import InvalidInput, OpsplayError, VaultRefused
from opsplay.core.retention import months_later
from opsplay.core.site import Site
from opsplay.core.transport import Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.erasing import carry_out
from opsplay.engine.restore_stream import identities
from opsplay.engine.signature import Signer, signed_by
from opsplay.engine.snapshots import manifest_keys
from opsplay.kit.clock import Clock
from opsplay.kit.ids import run_id

KEPT_MONTHS = 14
"""How long an entry is locked: the oldest backup lives 13 months, and one more to be sure."""
_CLOSED = "the site stays closed to visitors: it may hold a person who asked to be erased"
_SIGNATURE = b"-----BEGIN SSH SIGNATURE-----"


def replay(
    ledger: Ledger, since: datetime, site: Site, transport: Transport
) -> tuple[Erasure, ...]:
    """Erase again, in the environment, what a database that was saved at `since` may still hold.

    To be called when the database is back and before any visitor is let in; returns what was
    carried out. Safe to call twice.

    Raises:
        OpsplayError: the ledger cannot be read, or the database still holds what it must not. The
            caller MUST NOT open the site then; `state` says so.
    """
    try:
        wanted = ledger.owed(since)
        carry_out(wanted, site, transport)
    except OpsplayError as error:
        error.state = _CLOSED
        error.site = error.site or site.name
        error.next_command = error.next_command or f"invoke erasures {site.name}"
        raise
    return wanted


@dataclass(frozen=True)
class Wish:
    """What somebody wants erased, before it is in the ledger."""

    table: str
    key_column: str
    key_value: str
    delete: bool
    columns: Mapping[str, str | None]
    asked_by: str
    asked_on: date
    at_most: int = AT_MOST

    def on(self, site: str, now: datetime, after: tuple[str, ...] = ()) -> Erasure:
        """Return it as an entry. Raises InvalidInput for what must not become SQL."""
        if not self.asked_by.strip():
            raise InvalidInput("say by `--asked-by` where the request is filed, without a name")
        return Erasure(
            run_id(now), site, now, self.asked_on, self.asked_by, self.table, self.key_column,
            self.key_value, self.delete, self.columns, self.at_most, after,
        )  # fmt: skip


@dataclass(frozen=True)
class Ledger:
    """One site's ledger in its vault. `settings`: with the site's keys."""

    site: str
    vault: Vault
    settings: VaultSettings
    trusted: tuple[str, ...] = ()
    """Public keys whose signatures count; empty: none is asked for."""
    signer: Signer | None = None
    """Signs what is written."""

    def owed(self, since: datetime) -> tuple[Erasure, ...]:
        """Return the requests that whoever brings back what was saved at `since` has to carry out.

        A restore asks this before it changes anything, so that a ledger that cannot be read is
        known while the site is still as it was. Raises as `entries` does.
        """
        return due(self.entries(since), since)

    def entries(self, since: datetime | None = None) -> tuple[Entry, ...]:
        """Return all entries, oldest first; those from before `since` may have expired.

        Raises:
            VaultRefused: an entry is gone, hidden, replaced, not signed by us, or not for our key.
            UnreadableAnswer: an entry is damaged, or of a kind that is not known.
            InvalidInput: there are entries, and no identity to read them with.
        """
        names = self.names()
        keys = identities(self.settings) if names else ()
        found = {name: self._entry(name, keys) for name in names}
        if gone := missing(found, since):
            raise self._broken(f"{len(gone)} of its entries are gone, the first is {gone[0]}")
        return tuple(found[name] for name in sorted(found))

    def noted_since(self, moment: datetime) -> bool:
        """Return whether an entry may be younger than a moment; its name says so, no identity is needed.

        What is missing would be missed by a younger one. Raises VaultRefused, UnreadableAnswer.
        """
        return any(moment <= recorded(name) + 2 * SKEW for name in self.names())

    def requests(self, since: datetime | None = None) -> tuple[Erasure, ...]:
        """Return the requests alone, oldest first; `since`: see `entries`."""
        return tuple(one for one in self.entries(since) if isinstance(one, Erasure))

    def oldest_snapshot(self) -> datetime | None:
        """Return when the oldest snapshot that is left began, by its name; None: there is none."""
        keys = manifest_keys(self.vault, self.site)
        names = (key.rpartition("/")[2] for key in keys)
        return min((recorded(name) for name in names), default=None)

    def record(self, wish: Wish, clock: Clock) -> Erasure:
        """Write a request into the ledger and return it; it holds for every later restore."""
        entry = wish.on(self.site, clock.now(), self.names())
        self._write(entry, to_json(entry, sql.statements(entry)), entry.recorded_at)
        return entry

    def note_applied(self, request: Erasure, clock: Clock) -> None:
        """Note that the live site does not hold the person any more."""
        now = clock.now().astimezone(UTC)
        entry = Applied(run_id(now), self.site, request.id, now, self.names())
        self._write(entry, to_json(entry), now)

    def names(self) -> tuple[str, ...]:
        """Return the entries' names; every one has one version, and none is hidden."""
        versions = list(self.vault.versions(prefix(self.site)))
        for one in versions:
            if one.deleted:
                raise self._broken(f"{one.key} was deleted; the storage still has it, hidden")
        found = [one.key for one in versions]
        if twice := {one for one in found if found.count(one) > 1}:
            raise self._broken(f"{min(twice)} was replaced; the storage still has the old one")
        return tuple(sorted(map(name_of, found)))

    def _entry(self, name: str, keys: tuple[object, ...]) -> Entry:
        import pyrage  # type: ignore[import-untyped]  # ships no types

        where = f"{prefix(self.site)}{name}.json.age"
        body = b"".join(self.vault.get(where))
        try:
            text = pyrage.decrypt(body, list(keys))
        except pyrage.DecryptError as error:
            raise self._broken(f"{where} cannot be decrypted: {error}") from error
        entry = from_json(self._signed(text, where), where)
        if (entry.id, entry.site) != (name, self.site):
            raise self._broken(f"{where} is another entry, {entry.id} of {entry.site}")
        return entry

    def _signed(self, text: bytes, where: str) -> bytes:
        """Return the entry's text; whoever may write into a vault must not write SQL for a site."""
        message, mark, rest = text.partition(_SIGNATURE)
        if self.trusted and not signed_by(message, mark + rest, self.trusted):
            raise self._broken(f"{where} is not signed by a key that is trusted here")
        return message

    def _write(self, entry: Entry, text: bytes, made: datetime) -> None:
        import pyrage

        settings = self.settings
        if not settings.recipients:
            raise InvalidInput(f"vault {settings.name} names no `recipients`: nobody could read it")
        recipients = [pyrage.x25519.Recipient.from_str(one) for one in settings.recipients]
        signature = self.signer.sign(text) if self.signer else b""
        body = pyrage.encrypt(text + signature, recipients)
        self.vault.put(key(entry), body, retain_until=months_later(made, KEPT_MONTHS))

    def _broken(self, what: str) -> VaultRefused:
        return VaultRefused(
            f"the ledger of erasures in vault {self.vault.name} cannot be relied on: {what}",
            site=self.site,
            next_command=f"invoke erasures {self.site}",
        )
