"""Which sites a pattern means."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from opsplay.core.errors import InvalidInput
from opsplay.core.playbook import Inventory
from opsplay.core.site import Site
from opsplay.language.suggest import did_you_mean


def select_sites(inventory: Inventory, pattern: str, limit: str = "") -> tuple[Site, ...]:
    """Return the sites of a pattern, narrowed by `limit` (a pattern too), sorted by name.

    A pattern is `all`, `tag:NAME`, a name or `*` wildcards, joined by commas; parts with `!` take
    sites away again, wherever they stand. Only such parts: all but those.

    Raises:
        InvalidInput: a part means no site, or nothing is left.
    """
    chosen = _named(inventory, pattern)
    if limit:
        narrowed = _named(inventory, limit)
        chosen = [name for name in chosen if name in narrowed]
        if not chosen:
            msg = f"the limit '{limit}' leaves none of the sites of '{pattern}'"
            raise InvalidInput(msg)
    if not chosen:
        msg = f"the pattern '{pattern}' takes every site away again"
        raise InvalidInput(msg)
    return tuple(inventory.sites[name] for name in chosen)


def _named(inventory: Inventory, pattern: str) -> list[str]:
    parts = [part.strip() for part in pattern.split(",") if part.strip()]
    wanted = [part for part in parts if not part.startswith("!")] or ["all"]
    unwanted = [part[1:].strip() for part in parts if part.startswith("!")]
    keep = {name for part in wanted for name in _matching(inventory, part)}
    drop = {name for part in unwanted for name in _matching(inventory, part)}
    return sorted(keep - drop)


def _matching(inventory: Inventory, part: str) -> list[str]:
    """Return the sites that one part means. Raises InvalidInput when there are none."""
    fits = _test(part)
    found = [name for name, site in inventory.sites.items() if fits(site)]
    if not found:
        cause, hint = no_match(inventory, part)
        raise InvalidInput(f"{cause}; {hint}" if hint else cause)
    return found


def _test(part: str) -> Callable[[Site], bool]:
    if part == "all":
        return lambda _site: True
    if part.startswith("tag:"):
        return lambda site: any(fnmatchcase(tag, part[4:]) for tag in site.tags)
    return lambda site: fnmatchcase(site.name, part)


def no_match(inventory: Inventory, part: str) -> tuple[str, str]:
    """Return cause and suggestion for a part that means no site."""
    if not inventory.sites:
        return "the inventory holds no site", ""
    if part.startswith("tag:"):
        tags = {tag for site in inventory.sites.values() for tag in site.tags}
        return f"no site has the tag '{part[4:]}'", did_you_mean(part[4:], tags)
    return f"no site is called '{part}'", did_you_mean(part, inventory.sites)
