"""Which backups count: readable, sealed by somebody trusted here, and not of a day that is to come.

Decided here and nowhere else, for `last`, for what a new backup is built upon and follows, for lists
and for verdicts. Whoever may write into the vault can add a manifest of any name and any date:
what is passed over is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opsplay.core.errors import UnreadableAnswer, VaultRefused
from opsplay.core.snapshot import Snapshot, from_json
from opsplay.core.vault import StoredObject, Vault
from opsplay.core.verdict import Backup, Damage
from opsplay.engine.signature import SUFFIX, signed_by
from opsplay.engine.snapshots import load, manifests, text

_CLOCKS_DIFFER = timedelta(minutes=15)
"""By how much clocks may differ: storages refuse a request that is further off."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_TOLD = 5


@dataclass(frozen=True)
class Trust:
    """Who is believed here, and what time it is."""

    keys: Collection[str]
    """Public keys whose signatures count; empty: none is asked for."""
    now: datetime
    alarm: Callable[[str], None] = lambda _told: None
    """Told what was passed over."""

    def believes(self, one: Backup) -> bool:
        """Return whether a trusted key sealed it, as far as any key is known."""
        return bool(one.signer) or not self.keys

    def doubt(self, one: Backup) -> str:
        """Return why it does not count; empty: it does.

        A date is of the future when neither the storage, when it took the manifest, nor this
        machine had come so far: a clock that is behind makes no good backup doubtful.
        """
        if not self.believes(one):
            return "is not signed by a key that is trusted here"
        began = one.snapshot.started_at
        if began > max(self.now, one.stored) + _CLOCKS_DIFFER:
            return f"is dated {began:%Y-%m-%d %H:%M} UTC, which is still to come"
        return ""

    def newest(
        self,
        vault: Vault,
        listed: Sequence[StoredObject],
        fits: Callable[[Snapshot], bool],
        *,
        else_suspect: bool = False,
    ) -> Backup | None:
        """Return the newest backup that counts and fits, None if there is none.

        By the names that were signed: whoever stores an old manifest again makes it no younger.
        One that looks like damage (`suspect`) is none, or with `else_suspect` the last resort.
        """
        passed: list[Damage] = []
        best: Backup | None = None
        for place in reversed(listed):
            one = sealed(vault, place, self.keys)
            why = one.what if isinstance(one, Damage) else self.doubt(one)
            if isinstance(one, Damage) or why:
                passed.append(Damage(place.key, why))
            elif fits(one.snapshot) and not one.suspect:
                best = one
                break
            elif fits(one.snapshot) and else_suspect:
                best = best or one
        self._tell(passed)
        return best

    def _tell(self, passed: Sequence[Damage]) -> None:
        for one in passed[:_TOLD]:
            self.alarm(f"passed over, because it {one.what}: {one.key}")
        if more := passed[_TOLD:]:
            self.alarm(f"{len(more)} more manifests were passed over, down to {more[-1].key}")


def find(
    vault: Vault, site: str, snap: str, trust: Trust, environment: str = "production"
) -> Snapshot:
    """Return the snapshot of that name; `last` stands for the newest of `environment` that counts.

    A name is enough for one that does not count as well: who restores it is refused with the
    reason. Without any key to trust, nobody can tell who sealed what; that is told.

    Raises:
        VaultRefused: there is none.
        UnreadableAnswer: there is one of this name alone, and it cannot be read.
    """
    listed = manifests(vault, site)
    if not trust.keys:
        trust.alarm("no key is trusted here: who sealed the backups was not checked")
    if snap == "last":
        found = trust.newest(
            vault, listed, lambda one: one.environment == environment, else_suspect=True
        )
        if found is not None:
            return found.snapshot
    elif named := [one for one in listed if one.key.endswith(f"/{snap}.json")]:
        return _named(vault, named, trust)
    raise VaultRefused(
        f"vault {vault.name} holds no backup {snap}"
        + (f" of {environment} that counts" if listed and snap == "last" else ""),
        site=site,
        next_command=f"invoke backups {site}",
    )


def _named(vault: Vault, named: Sequence[StoredObject], trust: Trust) -> Snapshot:
    """Return the snapshot; a forged one of the same name in another month does not hide it."""
    found = (sealed(vault, one, trust.keys) for one in reversed(named))
    good = (one for one in found if isinstance(one, Backup) and trust.believes(one))
    first = next(good, None)
    return first.snapshot if first else load(vault, named[-1].key)


def sealed(
    vault: Vault, listed: StoredObject, trusted: Collection[str], *, seen: bool = True
) -> Backup | Damage:
    """Return the backup whose manifest is listed, and who sealed it; or why it cannot be read.

    `seen`: whether there is a signature at all, as far as a list tells.
    """
    key, told = listed.key, text(vault, listed.key)
    try:
        snapshot = from_json(told, key)
    except UnreadableAnswer as error:
        return Damage(key, f"cannot be read: {error.what}")
    if snapshot.key != key:
        return Damage(key, f"is the manifest of another backup: {snapshot.key}")
    return Backup(
        snapshot=snapshot,
        manifest_sha256=hashlib.sha256(told).hexdigest(),
        stored=listed.modified or _LONG_AGO,
        signer=signature_of(vault, key, told, trusted, seen=seen),
    )


def signature_of(
    vault: Vault, key: str, told: bytes, trusted: Iterable[str], *, seen: bool = True
) -> str:
    """Return the trusted key that signed what lies under `key`; empty: none did."""
    if not seen or not trusted:
        return ""
    try:
        return signed_by(told, text(vault, key + SUFFIX), trusted)
    except VaultRefused:
        return ""  # there is no signature
