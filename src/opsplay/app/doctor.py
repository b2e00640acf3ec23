"""Look whether everything needed is there. Only questions are sent, and vaults are only listed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from opsplay.app import schedules
from opsplay.app.options import Options
from opsplay.app.workshop import Workshop, load_kinds
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import OpsplayError
from opsplay.core.finding import Finding
from opsplay.core.playbook import Inventory
from opsplay.core.site import Site
from opsplay.kit.shell import quote
from opsplay.kit.wording import counted
from opsplay.language.read import read_inventory
from opsplay.language.sites import select_sites

_NEEDED = {
    "php": "install PHP's command line (Debian: php-cli)",
    "tar": "install tar",
    "curl": "install curl: the host uploads its backups with it",
    "mysqldump|mariadb-dump": "install the database client (Debian: mariadb-client)",
    "mysql|mariadb": "install the database client (Debian: mariadb-client)",
    "zstd": "install zstd: backups are compressed with it",
    "age": "install age: backups are encrypted with it before they leave the host",
}


def examine(options: Options) -> tuple[Finding, ...]:
    """Return what is in order and what is not: state, inventory, hosts, sites, vaults.

    Raises InvalidInput when the inventory has mistakes: then nobody can be asked.
    """
    load_kinds()
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    sites = select_sites(inventory, "all", options.limit)
    with Workshop.for_checking(options, inventory) as workshop:
        return (
            _state(options.state),
            _inventory(options.inventory, inventory),
            *schedules.findings(options),
            *(found for host in _hosts(sites) for found in _host(host, sites, workshop)),
            *(_vault(name, workshop) for name in sorted({one.vault for one in sites if one.vault})),
            *(_readers(one, workshop) for one in _keyed_apart(sites)),
        )


def _keyed_apart(sites: Iterable[Site]) -> Iterable[Site]:
    """Return one site for each set of keys: a key is asked for once, however many sites have it."""
    found = {
        (one.vault, one.recipients, one.identity and one.identity.reference): one
        for one in sites
        if one.vault
    }
    return found.values()


def _readers(site: Site, workshop: Workshop) -> Finding:
    """Say who can decrypt what is saved of a site, as far as that can be known here."""
    from opsplay.engine.keys import readers

    own = site.recipients or site.identity
    subject = f"keys of {site.client or site.name}" if own else f"keys of vault {site.vault}"
    try:
        settings = workshop.vault(site.vault)[1]
    except OpsplayError as error:
        return Finding(subject, False, error.what, exit_status=error.exit_status)
    found = readers(settings, site)
    told = f"encrypted for {found.whose} ({counted(len(found.recipients), 'recipient')})"
    if found.trouble:
        return Finding(subject, False, f"{told}, and {found.trouble}", fix="correct `identity`")
    if found.here:
        return Finding(subject, True, f"{told}; this machine can decrypt its backups")
    named = site.identity if site.recipients else settings.identity
    if named:
        fix = "name the identity that belongs to one of the `recipients`, or the other way round"
        return Finding(subject, False, f"{told}, and no `identity` here belongs to them", fix=fix)
    return Finding(subject, True, f"{told}; this machine has no identity, so it cannot restore")


def _state(folder: Path) -> Finding:
    nearest = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    good = os.access(nearest, os.W_OK)
    return Finding(str(folder), good, "the journal can be written", fix=f"chmod u+w {nearest}")


def _inventory(folder: Path, inventory: Inventory) -> Finding:
    told = ", ".join(
        (
            counted(len(inventory.sites), "site"),
            counted(len(inventory.vaults), "vault"),
            "no mistakes",
        )
    )
    return Finding(str(folder), True, told)


def _hosts(sites: Iterable[Site]) -> list[Host]:
    hosts = {place.host for site in sites for place in site.environments.values()}
    return sorted(hosts, key=str)


def _places(host: Host, sites: Iterable[Site]) -> Iterator[tuple[str, Environment]]:
    for site in sites:
        for name, place in sorted(site.environments.items()):
            if place.host == host:
                yield f"{site.name} ({name})", place


def _host(host: Host, sites: Iterable[Site], workshop: Workshop) -> Iterator[Finding]:
    places = dict(_places(host, sites))
    script = _question(place.root for place in places.values())
    transport = workshop.transport(host)
    workshop.declare(transport, script)
    try:
        said = set(transport.run(script).stdout.split("\n"))
    except OpsplayError as error:
        fix = error.next_command or f"ssh {host}"
        yield Finding(str(host), False, error.what, fix=fix, exit_status=error.exit_status)
        return
    lacking = [
        tools for tools in _NEEDED if not any(f"tool {one}" in said for one in tools.split("|"))
    ]
    if not lacking:
        yield Finding(str(host), True, "answers, and has every tool")
    for tools in lacking:
        told = f"answers, but has no {tools.replace('|', ' or ')}"
        yield Finding(str(host), False, told, fix=_NEEDED[tools])
    for label, place in places.items():
        there = f"root {place.root}" in said
        told = f"{place.root} is there and readable" if there else f"no readable {place.root}"
        yield Finding(label, there, told, fix=f"correct `root:` in the inventory, or ssh {host}")


def _question(roots: Iterable[str]) -> str:
    names = " ".join(name for tools in _NEEDED for name in tools.split("|"))
    lines = [f'for t in {names}; do command -v "$t" > /dev/null && echo "tool $t"; done']
    lines += [
        f'r={quote(root)}; [ -d "$r" ] && [ -r "$r" ] && printf "root %s\\n" "$r"' for root in roots
    ]
    return "\n".join([*lines, "exit 0"])


def _vault(name: str, workshop: Workshop) -> Finding:
    fix = f"look at vault {name} in the inventory: endpoint, bucket, keys"
    try:
        vault, settings = workshop.vault(name)
        next(iter(vault.keys("v1/")), None)
    except OpsplayError as error:
        return Finding(
            f"vault {name}", False, error.what, fix=error.next_command or fix,
            exit_status=error.exit_status,
        )  # fmt: skip
    if not settings.recipients:
        told = "answers, but has no `recipients`: backups could not be encrypted"
        return Finding(f"vault {name}", False, told, fix="add an age public key to `recipients`")
    return Finding(f"vault {name}", True, "answers, and may be listed")
