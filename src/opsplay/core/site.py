"""What is maintained: one CMS installation of one client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from opsplay.core.drivers import Driver, driver_for
from opsplay.core.environment import Environment
from opsplay.core.errors import InvalidInput


@dataclass(frozen=True)
class Site:
    """One CMS installation of one client, seen from one of its environments."""

    name: str
    cms_name: str
    environments: Mapping[str, Environment]
    client: str = ""
    tags: tuple[str, ...] = ()
    vault: str = ""
    language: str = "en"
    plan: str = "essentiel"
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
