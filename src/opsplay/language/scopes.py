"""What templates in steps see: the playbook's variables, the site, and earlier results."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from opsplay.core.playbook import Playbook
from opsplay.core.site import Site

RESERVED = frozenset({"site"})
"""Names that no variable may take."""


def site_facts(site: Site) -> dict[str, Any]:
    """Return what `site.…` gives in a template."""
    production = site.environments.get("production")
    return {
        "name": site.name,
        "client": site.client,
        "cms": site.cms_name,
        "tags": list(site.tags),
        "plan": site.plan,
        "language": site.language,
        "url": production.url if production else "",
    }


def scope(
    playbook: Playbook, site: Site, registered: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the variables for one site: the playbook's, the site's own, `site`, then results.

    Variables of the command line are in both, since reading put them there, and so win.
    Nothing is rendered again here: what a host answered is data, never a template.
    """
    return {**playbook.vars, **site.vars, "site": site_facts(site), **registered}
