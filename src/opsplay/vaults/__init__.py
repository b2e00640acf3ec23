"""Vaults: places for objects that are written once. Each kind is loaded when it is opened."""

from __future__ import annotations

from dataclasses import replace

from opsplay.core.errors import InvalidInput
from opsplay.core.vault import Vault, VaultSettings


def open_vault(settings: VaultSettings, *, expiring: bool = False) -> Vault:
    """Return the vault that the settings describe; contacts nobody yet.

    With `expiring`, it is opened with the second credential, the only one that may delete.

    Raises:
        InvalidInput: the kind is unknown, or a setting that is needed is missing.
    """
    if expiring:
        settings = _expiring(settings)
    match settings.kind:
        case "s3":
            from opsplay.vaults.s3 import S3Vault

            return S3Vault(settings)
        case "folder":
            from opsplay.vaults.folder import FolderVault

            return FolderVault(settings)
        case "memory":
            from opsplay.vaults.memory import MemoryVault

            return MemoryVault.named(settings.name, settings.lock)
        case _:
            known = "known: folder, memory, s3"
            raise InvalidInput(
                f"vault {settings.name}: kind {settings.kind!r} is unknown ({known})"
            )


def _expiring(settings: VaultSettings) -> VaultSettings:
    """Return the settings with the second credential in place of the daily one."""
    if settings.kind != "s3":
        return settings  # no credential is needed to delete there
    if not settings.expiry_access_key or not settings.expiry_secret_key:
        raise InvalidInput(
            f"vault {settings.name} names no `expiry_access_key` and `expiry_secret_key`: the daily"
            " credential may not delete, so nothing can be expired",
            next_command=f"opsplay vault.setup {settings.name}",
        )
    return replace(
        settings, access_key=settings.expiry_access_key, secret_key=settings.expiry_secret_key
    )
