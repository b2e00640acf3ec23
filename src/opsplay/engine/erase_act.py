"""The act of erasing: requests of the ledger, carried out in an environment that is open or not."""

from __future__ import annotations

from datetime import datetime

from opsplay.core.action import Erase
from opsplay.core.erasure import Erasure
from opsplay.core.errors import InvalidInput
from opsplay.core.site import Site
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.erasing import carry_out
from opsplay.engine.erasures import Ledger
from opsplay.engine.keys import opened
from opsplay.engine.outcome import Outcome
from opsplay.engine.tools import Tools

_LIVE = "production"


def ledger_of(tools: Tools, site: Site, *, writing: bool = False) -> Ledger:
    """Return a site's ledger; `writing`: with the key that entries are signed with."""
    vault, settings = opened(tools, site)
    signer = tools.signer(settings) if tools.signer and writing else None
    return Ledger(site.name, vault, settings, tools.trusted(settings), signer)


def erase(context: Context, action: Erase, around: Surroundings) -> Outcome:
    """Carry requests out, and note in the ledger when the live site is rid of them.

    Raises StepFailed, VaultRefused, UnreadableAnswer, LineCut, Unreachable; InvalidInput when the
    ledger has no such request.
    """
    site, tools = context.at(around.environment), context.tools
    ledger = ledger_of(tools, site, writing=True)
    requests = _chosen(ledger, action, tools.clock.now())
    rows = carry_out(requests, site, context.transport(around.environment))
    if around.environment == _LIVE:
        for one in requests:
            ledger.note_applied(one, tools.clock)
    count = f"{rows} row{'' if rows == 1 else 's'}"
    return Outcome(f"{count} erased, and looked at again", {"requests": list(action.requests)})


def _chosen(ledger: Ledger, action: Erase, now: datetime) -> tuple[Erasure, ...]:
    known = {one.id: one for one in ledger.requests(now)}
    if lacking := [name for name in action.requests if name not in known]:
        raise InvalidInput(
            f"the ledger of {ledger.site} has no request {lacking[0]}",
            next_command=f"invoke erasures {ledger.site}",
        )
    return tuple(known[name] for name in action.requests)
