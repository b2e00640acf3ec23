"""Use cases of vaults: find out what a storage enforces, and set one up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from opsplay.app.options import Options
from opsplay.app.workshop import Workshop, load_kinds
from opsplay.core.errors import OpsplayError
from opsplay.language.read import read_inventory
from opsplay.language.secrets import secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opsplay.core.enforcement import Probed, SetUp
    from opsplay.core.vault import VaultSettings
    from opsplay.vaults.recipes import Provider
    from opsplay.vaults.s3_line import S3Line

ADMIN = ("OPSPLAY_ADMIN_ACCESS_KEY", "OPSPLAY_ADMIN_SECRET_KEY")
"""Where the administrator's credential is, for the one command that needs it."""


def probe(name: str, options: Options, *, thorough: bool = False) -> Probed:
    """Try what the storage of a vault enforces. See `vaults.probing.probe`."""
    from opsplay.vaults import probing

    with _workshop(options) as workshop:
        return probing.probe(_settings(workshop, name), options.clock, thorough=thorough)


def set_up(
    name: str,
    options: Options,
    *,
    provider: Provider | None = None,
    users: Mapping[str, str] | None = None,
) -> SetUp:
    """Make a vault's bucket with the administrator's credential; then try the vault's own two."""
    from opsplay.vaults import setting_up

    admin = (secret(f"env:{ADMIN[0]}"), secret(f"env:{ADMIN[1]}"))
    with _workshop(options) as workshop:
        settings = _settings(workshop, name)
        made = setting_up.set_up(settings, admin, options.clock, provider=provider, users=users)
        line = setting_up.admin_line(settings, admin, options.clock)
        return _tried(made, settings, options, line)


def _tried(made: SetUp, settings: VaultSettings, options: Options, admin: S3Line) -> SetUp:
    from opsplay.vaults import probing

    try:
        return replace(made, probed=probing.probe(settings, options.clock, admin=admin))
    except OpsplayError as error:  # they are often made only now, by the recipe
        return replace(made, untried=error.what)


def _workshop(options: Options) -> Workshop:
    load_kinds()
    return Workshop(options, read_inventory(options.inventory, extra_vars=options.extra_vars))


def _settings(workshop: Workshop, name: str) -> VaultSettings:
    return workshop.vault(name)[1]
