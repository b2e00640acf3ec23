"""Verbs about the places of backups: vault.probe, vault.setup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from opsplay.cli.given import WHERE, options_of
from opsplay.cli.screen import document, screen, show
from opsplay.cli.verb import REACHING, verb
from opsplay.core.enforcement import broken
from opsplay.core.errors import ExitStatus, InvalidInput

if TYPE_CHECKING:
    from opsplay.vaults.recipes import Provider


@verb(
    REACHING,
    positional=["name"],
    help={
        "name": "NAME of the vault in the inventory.",
        "thorough": "Also store 1,001 objects, to see whether a list of them is whole.",
        **WHERE,
    },
)
def probe(
    _context: Context,
    name: str,
    thorough: bool = False,
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Try what a storage really enforces: checksums, signed URLs, locks, versions, credentials.

    Each trial has objects of its own below probe/, deleted afterwards where a credential may. Status 1 when something does not hold that backups stand on; they are then refused.
    """
    from opsplay.app.vaults import probe as found_by
    from opsplay.reports.vaults import probed_data, probed_table, verdict

    probed = found_by(name, options_of(inventory=inventory, state=state), thorough=thorough)
    if json:
        document("vault", {"vault": name, **probed_data(probed)})
    else:
        screen().print(probed_table(probed.found))
        show(verdict(name, probed))
    return ExitStatus.FAILED if broken(probed.found) else ExitStatus.DONE


@verb(
    REACHING,
    positional=["name"],
    help={
        "name": "NAME of the vault in the inventory.",
        "provider": "aws, seaweedfs or ceph, where the storage does not say what it is.",
        "daily_user": "USER whose keys the vault has for daily work (Ceph: bound by a policy).",
        "expiry_user": "USER whose keys may delete what is not locked any more (Ceph).",
        **WHERE,
    },
)
def setup(
    _context: Context,
    name: str,
    provider: str = "",
    daily_user: str = "",
    expiry_user: str = "",
    json: bool = False,
    inventory: str = "inventory",
    state: str = ".opsplay",
) -> ExitStatus:
    """Make a vault's bucket, bind its two credentials, and try what they must not do.

    Needs an administrator's credential, for this command alone: $OPSPLAY_ADMIN_ACCESS_KEY and $OPSPLAY_ADMIN_SECRET_KEY. Can be repeated. Where the provider has to be told by hand, prints what; status 1 until all is as it should be.
    """
    from opsplay.app.vaults import set_up
    from opsplay.reports.vaults import set_up_data, set_up_text

    users = {"daily": daily_user, "expiry": expiry_user} if daily_user or expiry_user else None
    options = options_of(inventory=inventory, state=state)
    done = set_up(name, options, provider=_provider(provider), users=users)
    if json:
        document("vault_setup", {"vault": name, **set_up_data(done)})
    else:
        show(set_up_text(name, done))
    return ExitStatus.DONE if done.sound else ExitStatus.FAILED


def _provider(text: str) -> Provider | None:
    match text:
        case "":
            return None
        case "aws" | "seaweedfs" | "ceph":
            return text
        case _:
            raise InvalidInput(f"--provider {text!r}: aws, seaweedfs or ceph")
