"""What the acts of a plan will cost that only the vault knows: looked up before anybody says yes.

A restore: how long it takes. A verification: what is fetched. An expiry: what goes.
"""

from __future__ import annotations

from dataclasses import replace

from opsplay.app.workshop import Workshop
from opsplay.core.action import Action, Expire, Restore, Verify
from opsplay.core.change import Change
from opsplay.core.errors import OpsplayError
from opsplay.core.site import Site
from opsplay.engine.plan import Plan, PlannedStage, PlannedStep, SitePlan

_FORESEEN = (Restore, Verify, Expire)


def with_forecasts(plan: Plan, workshop: Workshop) -> Plan:
    """Return the plan, each such act with what it will cost; nothing is changed anywhere.

    What cannot be looked up says so, and is no reason not to plan.
    """
    if not any(map(_foreseeable, (s for one in plan.sites for st in one.stages for s in st.steps))):
        return plan
    return replace(plan, sites=tuple(_site(one, workshop) for one in plan.sites))


def _foreseeable(step: PlannedStep) -> bool:
    return any(isinstance(change.do, _FORESEEN) for change in step.changes)


def _site(planned: SitePlan, workshop: Workshop) -> SitePlan:
    return replace(
        planned, stages=tuple(_stage(one, planned.site, workshop) for one in planned.stages)
    )


def _stage(planned: PlannedStage, site: Site, workshop: Workshop) -> PlannedStage:
    here = site.at(planned.stage.environment)
    steps = (
        replace(step, changes=tuple(_change(one, here, workshop) for one in step.changes))
        if _foreseeable(step)
        else step
        for step in planned.steps
    )
    return replace(planned, steps=tuple(steps))


def _change(change: Change, site: Site, workshop: Workshop) -> Change:
    if not isinstance(change.do, _FORESEEN):
        return change
    try:
        told = _forecast(change.do, site, workshop)
    except OpsplayError as error:
        told = f"no forecast: {error.what}"
    return replace(change, after=f"{change.after} ({told})")


def _forecast(wanted: Action, site: Site, workshop: Workshop) -> str:
    match wanted:
        case Verify():
            from opsplay.engine import verify_act

            return verify_act.foreseen(workshop.upkeep(site), wanted.level)
        case Expire():
            from opsplay.engine import expire_act

            return expire_act.foreseen(workshop.upkeep(site))
        case Restore():
            return _restore(wanted, site, workshop)
        case _:
            return ""


def _restore(wanted: Restore, site: Site, workshop: Workshop) -> str:
    from opsplay.engine.keys import keyed
    from opsplay.engine.restore import foreseen
    from opsplay.engine.restore_forecast import TAKE_IN
    from opsplay.engine.restore_scripts import look
    from opsplay.engine.restoring import Restoring
    from opsplay.engine.trust import Trust, find

    vault, settings = workshop.vault(site.vault)
    transport = workshop.transport(site.here.host)
    for script in (look(site), TAKE_IN):
        workshop.declare(transport, script)
    passed: list[str] = []
    trust = Trust(workshop.keys.trusted(settings), workshop.clock.now(), passed.append)
    snapshot = find(vault, site.name, wanted.snapshot, trust)
    keys = keyed(settings, site, workshop.redactor.learn)
    work = Restoring(snapshot, site, transport, vault, keys, workshop.clock)
    found = foreseen(work, wanted.include, wanted.paths)
    return "; WARNING: ".join((f"{snapshot.snap}, {found}", *passed))
