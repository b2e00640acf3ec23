"""Where a drill restores to: the site's own drill environment, or a scratch one made for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from opsplay.core.certificate import Told, told
from opsplay.core.drivers import DatabaseAccess
from opsplay.core.environment import Environment
from opsplay.core.errors import InvalidInput, OpsplayError, StepFailed
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot
from opsplay.core.transport import Transport
from opsplay.engine.context import Context
from opsplay.engine.hold import free_lock, take_lock
from opsplay.kit.shell import assign

DRILL = "drill"


@dataclass(frozen=True)
class Place:
    """An environment that a drill may fill, and that is emptied afterwards."""

    site: Site
    """Seen from there."""
    transport: Transport
    told: Told
    fits: str = ""
    """Script that makes the restored configuration fit; empty: the place has its own."""


@contextmanager
def place(context: Context, snapshot: Snapshot) -> Iterator[Place]:
    """Give a place to restore to, and destroy what was restored at the end, whatever happens.

    Raises:
        LabBroken: this machine has not what a scratch environment needs.
        Locked: another run is at work on the drill environment.
        StepFailed: what was restored could not be removed again.
    """
    if DRILL in context.site.environments:
        yield from _own(context)
    else:
        yield from _scratch(context, snapshot)


def _scratch(context: Context, snapshot: Snapshot) -> Iterator[Place]:
    if context.tools.scratch is None:
        raise InvalidInput(
            f"site {context.site.name} has no environment `drill`, and there is no other place",
            next_command="give the site an environment `drill` in the inventory",
        )
    with context.tools.scratch(context.site.name) as stack:
        site = _seen_from(context.site, stack.environment)
        context.tools.learn(stack.access[2])
        access = DatabaseAccess(*stack.access, snapshot.cms.url, snapshot.source.root)
        code = "scratch_alone" if stack.isolated else "scratch"
        here = told(code, host=socket.gethostname())
        yield Place(site, stack.transport, here, site.cms.use_database(access))


def _seen_from(site: Site, environment: Environment) -> Site:
    return replace(site, environments={**site.environments, DRILL: environment}, looking_at=DRILL)


def _own(context: Context) -> Iterator[Place]:
    site, transport = context.at(DRILL), context.transport(DRILL)
    take_lock(context, DRILL)
    try:
        _clear(site, transport)  # of a drill that was killed, too
        try:
            yield Place(site, transport, told("drill_host", host=site.here.host))
        finally:
            _clear(site, transport)
    finally:
        free_lock(context, DRILL)


def _clear(site: Site, transport: Transport) -> None:
    script = f'{site.cms.clear_away()}\n{work_directory(site)}\nrm -rf "$work"'
    try:
        answer = transport.run(script, timeout=600)
        why = "" if answer.ok else answer.stderr.strip()[-300:]
    except (OpsplayError, TimeoutError) as error:
        why = str(error)
        answer = None
    if answer is None or not answer.ok:
        raise StepFailed(
            f"what the drill restored could not be removed from {site.here.host}: {why}",
            site=site.name,
            state=f"a copy of the site's data still lies in {site.here.root}",
            next_command=f"empty {site.here.root} and its database, or run the drill again",
        )


def work_directory(site: Site) -> str:
    """Return the script line that says where a drill keeps its notes on the host: `$work`."""
    return f"{assign('site_name', site.name)}\nwork=$HOME/.opsplay/drill/$site_name"
