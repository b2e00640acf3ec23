"""Vaults: places for objects that are written once. Each kind is loaded when it is opened."""

from __future__ import annotations

from opsplay.core.errors import InvalidInput
from opsplay.core.vault import Vault, VaultSettings


def open_vault(settings: VaultSettings) -> Vault:
    """Return the vault that the settings describe; contacts nobody yet.

    Raises:
        InvalidInput: the kind is unknown, or a setting that the kind needs is missing.
    """
    match settings.kind:
        case "s3":
            from opsplay.vaults.s3 import S3Vault

            return S3Vault(settings)
        case "folder":
            from opsplay.vaults.folder import FolderVault

            return FolderVault(settings)
        case "memory":
            from opsplay.vaults.memory import MemoryVault

            return MemoryVault.named(settings.name)
        case _:
            known = "known: folder, memory, s3"
            raise InvalidInput(
                f"vault {settings.name}: kind {settings.kind!r} is unknown ({known})"
            )
