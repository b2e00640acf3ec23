"""Whose keys a site's backups are made with: its client's own where there are any, or the vault's.

A client's own recipients replace the vault's: whoever destroys that client's identity, and every
copy of it, has made all of the client's backups unreadable, locked or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from opsplay.core.errors import OpsplayError
from opsplay.core.site import Site
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.restore_stream import identities
from opsplay.kit.secret import Secret


class _Opening(Protocol):
    @property
    def vault(self) -> Callable[[str], tuple[Vault, VaultSettings]]: ...

    @property
    def learn(self) -> Callable[..., None]: ...


def opened(tools: _Opening, site: Site) -> tuple[Vault, VaultSettings]:
    """Return the site's vault, and its settings with the keys that this site's backups have."""
    vault, settings = tools.vault(site.vault)
    return vault, keyed(settings, site, tools.learn)


def keyed(
    settings: VaultSettings, site: Site, learn: Callable[..., None] = lambda *_: None
) -> VaultSettings:
    """Return a vault's settings with the keys of the site's client.

    Both identities are tried when something is read: what was saved before the client had keys of
    its own was saved for the vault's. `learn` is told the client's before it is used.
    """
    own = _masked(site.identity, learn) if site.identity else None
    identity = _both(own, settings.identity) if own and settings.identity else own
    return replace(
        settings,
        recipients=site.recipients or settings.recipients,
        identity=identity or settings.identity,
    )


def _masked(secret: Secret, learn: Callable[..., None]) -> Secret:
    def fetch(_reference: str) -> str:
        value = secret.reveal()
        learn(value, *value.splitlines())
        return value

    return Secret(secret.reference, fetch)


def _both(own: Secret, vaults: Secret) -> Secret:
    reference = f"{own.reference} and {vaults.reference}"
    return Secret(reference, lambda _reference: f"{own.reveal()}\n{vaults.reveal()}")


@dataclass(frozen=True)
class Readers:
    """Who can decrypt a site's new backups, as far as it can be known here."""

    whose: str
    """`the client's own keys` or `the keys of vault NAME`."""
    recipients: tuple[str, ...]
    here: tuple[str, ...]
    """Those of them whose identity is at hand on this machine."""
    trouble: str = ""
    """Why an identity could not be read."""


def readers(settings: VaultSettings, site: Site) -> Readers:
    """Return who can decrypt what is saved of a site from now on; asks for no secret but `identity`."""
    with_keys = keyed(settings, site)
    whose = "the client's own keys" if site.recipients else f"the keys of vault {settings.name}"
    if with_keys.identity is None:
        return Readers(whose, with_keys.recipients, ())
    try:
        known = {str(one.to_public()) for one in identities(with_keys)}  # type: ignore[attr-defined]
    except OpsplayError as error:
        return Readers(whose, with_keys.recipients, (), error.what)
    here = tuple(one for one in with_keys.recipients if one in known)
    return Readers(whose, with_keys.recipients, here)
