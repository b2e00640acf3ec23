"""The keys that backups are signed with: the vault's own, or one that this controller makes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from opsplay.core.vault import VaultSettings

if TYPE_CHECKING:
    from opsplay.engine.signature import Signer

_HEAD = """\
# Who may seal backups: signatures by any other key are refused. To check one by hand:
#   ssh-keygen -Y verify -f allowed_signers -I opsplay -n opsplay -s NAME.json.sig <NAME.json
"""


class Keys:
    """The controller's keys, in `.opsplay/keys`.

    Public keys stay in `allowed_signers` when a key is changed: older backups are still believed.
    """

    def __init__(self, state: Path, learn: Callable[..., None] = lambda *_: None) -> None:
        self._folder = state / "keys"
        self._learn = learn

    @property
    def allowed(self) -> Path:
        """Return where the public keys are that this controller believes."""
        return self._folder / "allowed_signers"

    def signer(self, settings: VaultSettings) -> Signer:
        """Return what seals the backups of a vault; the controller's own key is made if missing.

        Raises:
            InvalidInput: the key that the vault names cannot be read, or is of another kind.
        """
        from opsplay.engine.signature import Signer

        if settings.signing_key:
            text = settings.signing_key.reveal()
            self._learn(*text.splitlines())
            signer = Signer.of(text, f"vault {settings.name}: `signing_key`")
        else:
            signer = Signer.of(self._own(), str(self._folder / "signing"))
        self._allow(signer.public)
        return signer

    def trusted(self, settings: VaultSettings) -> tuple[str, ...]:
        """Return the public keys whose signatures count; makes no key."""
        if settings.signing_key or (self._folder / "signing").is_file():
            self.signer(settings)
        return self._allowed()

    def _own(self) -> str:
        from opsplay.engine.signature import new_private_key

        path = self._folder / "signing"
        if not path.is_file():
            _write(path, new_private_key(), 0o600, replace=False)
        return path.read_text(encoding="ascii")

    def _allowed(self) -> tuple[str, ...]:
        from opsplay.engine.signature import keys_allowed

        if not self.allowed.is_file():
            return ()
        return keys_allowed(self.allowed.read_text(encoding="utf-8"))

    def _allow(self, public: str) -> None:
        from opsplay.engine.signature import allowed_signers

        known = self._allowed()
        if public not in known:
            text = _HEAD + allowed_signers([*known, public])
            _write(self.allowed, text, 0o644, replace=True)


def _write(path: Path, text: str, mode: int, *, replace: bool) -> None:
    """Write whole or not at all; without `replace`, whoever came first has written it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        if replace:
            beside.replace(path)
        elif not path.exists():
            _name(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _name(beside: Path, path: Path) -> None:
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return  # another process made the key a moment ago: that one is used
