"""What is maintained: one CMS installation of one client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from opsplay.core.drivers import Driver, driver_for
from opsplay.core.environment import Environment
from opsplay.core.errors import InvalidInput
from opsplay.kit.secret import Secret


@dataclass(frozen=True)
class Site:
    """One CMS installation of one client, seen from one of its environments."""

    name: str
    cms_name: str
    environments: Mapping[str, Environment]
    client: str = ""
    tags: tuple[str, ...] = ()
    vault: str = ""
    recipients: tuple[str, ...] = ()
    """age public keys of the client; they replace the vault's. Empty: the vault's are used."""
    identity: Secret | None = None
    """age identity of the client; needed only to restore."""
    language: str = "en"
    plan: str = "essentiel"
    keep_years: int = 0
    """Years that the first full backup of a year is kept by contract, beyond what the plan keeps."""
    promises: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    contacts: tuple[Mapping[str, str], ...] = ()
    """Whom to tell: `name`, `email`, `phone`, `role`, as far as known."""
    vars: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    looking_at: str = "production"
    """Name of the environment that `here` stands for."""

    @property
    def here(self) -> Environment:
        """Return the environment this site is seen from."""
        return self.environments[self.looking_at]

    @property
    def cms(self) -> Driver:
        """Return the driver of this site's CMS, bound to the environment it is seen from."""
        return driver_for(self.cms_name)(self.here)

    def at(self, environment: str) -> Site:
        """Return the same site seen from another environment.

        Raises:
            InvalidInput: the site has no such environment.
        """
        if environment not in self.environments:
            known = ", ".join(sorted(self.environments))
            msg = f"site {self.name} has no environment {environment} (it has: {known})"
            raise InvalidInput(msg)
        return self if environment == self.looking_at else replace(self, looking_at=environment)
