"""How long the restores of a plan will take: measured before anybody says yes to them."""

from __future__ import annotations

from dataclasses import replace

from opsplay.app.workshop import Workshop
from opsplay.core.action import Restore
from opsplay.core.change import Change
from opsplay.core.errors import OpsplayError
from opsplay.core.site import Site
from opsplay.engine.plan import Plan, PlannedStage, PlannedStep, SitePlan


def with_forecasts(plan: Plan, workshop: Workshop) -> Plan:
    """Return the plan, each restore with what it will cost; nothing is changed anywhere.

    What cannot be measured says so, and is no reason not to plan.
    """
    if not any(map(_restores, (s for one in plan.sites for st in one.stages for s in st.steps))):
        return plan
    return replace(plan, sites=tuple(_site(one, workshop) for one in plan.sites))


def _restores(step: PlannedStep) -> bool:
    return any(isinstance(change.do, Restore) for change in step.changes)


def _site(planned: SitePlan, workshop: Workshop) -> SitePlan:
    return replace(
        planned, stages=tuple(_stage(one, planned.site, workshop) for one in planned.stages)
    )


def _stage(planned: PlannedStage, site: Site, workshop: Workshop) -> PlannedStage:
    here = site.at(planned.stage.environment)
    steps = (
        replace(step, changes=tuple(_change(one, here, workshop) for one in step.changes))
        if _restores(step)
        else step
        for step in planned.steps
    )
    return replace(planned, steps=tuple(steps))


def _change(change: Change, site: Site, workshop: Workshop) -> Change:
    if not isinstance(change.do, Restore):
        return change
    try:
        told = _forecast(change.do, site, workshop)
    except OpsplayError as error:
        told = f"no forecast: {error.what}"
    return replace(change, after=f"{change.after} ({told})")


def _forecast(wanted: Restore, site: Site, workshop: Workshop) -> str:
    from opsplay.engine.keys import keyed
    from opsplay.engine.restore import foreseen
    from opsplay.engine.restore_forecast import TAKE_IN
    from opsplay.engine.restore_scripts import look
    from opsplay.engine.snapshots import find

    vault, settings = workshop.vault(site.vault)
    transport = workshop.transport(site.here.host)
    for script in (look(site), TAKE_IN):
        workshop.declare(transport, script)
    snapshot = find(vault, site.name, wanted.snapshot)
    keys = keyed(settings, site, workshop.redactor.learn)
    found = foreseen(
        snapshot, site, transport, vault, keys, workshop.clock, wanted.include, wanted.paths
    )
    return f"{snapshot.snap}, {found}"
