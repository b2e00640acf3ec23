"""Use cases that only look: the journal, host keys."""

from __future__ import annotations

from opsplay.app.options import Options
from opsplay.app.workshop import load_kinds
from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput
from opsplay.journal import Journal, open_journal
from opsplay.language.read import read_inventory


def journal(options: Options) -> Journal:
    """Return the ops repository's journal."""
    return open_journal(options.journal_at, options.clock)


def accept_host(name: str, options: Options, fingerprint: str = "") -> str:
    """Accept the key that a host of the inventory shows now; return its fingerprint.

    A key that replaces a known one is accepted only when it has this `fingerprint`. `name`: the host as the inventory writes it, or its address alone. Raises InvalidInput when the
    inventory has no such host.
    """
    from opsplay.transports.ssh import accept_host_key

    return accept_host_key(_host(name, options), fingerprint)


def _host(name: str, options: Options) -> Host:
    load_kinds()
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    hosts = {
        environment.host
        for site in inventory.sites.values()
        for environment in site.environments.values()
    }
    found = [host for host in hosts if name in {str(host), host.address}]
    if not found:
        known = ", ".join(sorted(map(str, hosts)))
        raise InvalidInput(f"no host {name!r} in the inventory (known: {known})")
    return found[0]
