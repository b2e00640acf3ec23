"""The act of backing up: what `engine.store` needs of a run, and what the run's report says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsplay.core.action import Store
from opsplay.core.errors import Interrupted, UnreadableAnswer
from opsplay.core.event import Progress
from opsplay.core.query import Answer
from opsplay.core.snapshot import Snapshot
from opsplay.engine.ask import ask
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.keys import opened
from opsplay.engine.outcome import Outcome
from opsplay.engine.store import take
from opsplay.engine.tools import Tools

_LONGEST_COUNT = 900.0
"""Seconds for counting the rows of all tables: a large shop's take minutes on a slow disk."""


def store(context: Context, action: Store, around: Surroundings, sequence: int) -> Outcome:
    """Back the environment up. `sequence`: of the journalled intent.

    Raises StepFailed, VaultRefused, LineCut, Unreachable, Interrupted.
    """
    site, tools = context.at(around.environment), context.tools
    vault, settings = opened(tools, site)

    def retried(error: str, attempt: int, seconds: float) -> None:
        context.write("retry", error=error, attempt=attempt, wait_seconds=round(seconds, 2))

    snapshot = take(
        action,
        site,
        context.transport(around.environment),
        vault,
        settings,
        run=context.run,
        attempt=sequence,  # unique in the journal: no attempt ever meets the objects of another
        clock=tools.clock,
        progress=stoppable(tools),
        segment_bytes=tools.segment_bytes,
        retried=retried,
        cms_version=lambda: _version(context, around.environment),
        indexes=tools.indexes,
        watermarks=lambda: _watermarks(context, around.environment),
        signer=tools.signer(settings) if tools.signer else None,
        trust=context.trust(settings),
    )
    return Outcome(told(snapshot), facts(snapshot))


def told(snapshot: Snapshot) -> str:
    """Return what came of a backup, in a sentence; one that looks like damage says so first."""
    size = f"{snapshot.added_bytes / 1e6:.1f} MB"
    done = f"snapshot {snapshot.snap}, {size}, confirmed by the storage"
    if not snapshot.suspect:
        return done
    return (
        f"WARNING: {snapshot.environment} of {snapshot.site} looks damaged:"
        f" {'; '.join(snapshot.suspect)}. This backup ({done}) is kept and marked as suspect;"
        " earlier ones are kept as well, and the next one will not build upon it. If the site is as"
        " it should be, back it up once with `full: true`"
    )


def facts(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return what reports show of a backup."""
    found: dict[str, Any] = {
        "snapshot": snapshot.snap,
        "bytes": snapshot.added_bytes,
        "kind": snapshot.kind,
        "suspect": list(snapshot.suspect),
    }
    if snapshot.full_because:
        found["full_because"] = snapshot.full_because
    if files := snapshot.index:
        found |= {"files": files.files, "added": files.added}
        found |= {"changed": files.changed, "removed": files.removed}
    if seen := snapshot.consistency:
        found["code_changed"] = list(seen.code_changed)
        found["unreadable"] = list(seen.unreadable)
    return found


def stoppable(tools: Tools) -> Progress:
    """Return a progress that ends the stream it is told of, once nothing may be waited for."""

    def progress(site: str, what: str, done: float, total: float) -> None:
        tools.progress(site, what, done, total)
        if tools.stop.at_once or tools.stop.killing:
            raise Interrupted(f"stopped at once, in the middle of the {what}", site=site)

    return progress


def _version(context: Context, environment: str) -> str:
    """Return the CMS's version; empty: a site too broken to tell it is saved all the same.

    Not by `context.ask`, which is for one thread: this goes on beside the backup.
    """
    query = context.at(environment).cms.facts()
    (question,) = context.asking(environment, [query])
    answer = context.known.get(question) or ask([question], context.tools.transport)[question]
    try:
        if isinstance(answer, Answer):
            return query.read(answer).version
    except UnreadableAnswer:
        return ""
    if isinstance(answer, UnreadableAnswer):
        return ""
    raise answer


def _watermarks(context: Context, environment: str) -> Mapping[str, str]:
    """Return how far the site is at this moment; empty if it is too broken, or too slow, to tell."""
    query, transport = context.at(environment).cms.watermarks(), context.transport(environment)
    try:
        return query.read(transport.run(query.script, timeout=_LONGEST_COUNT))
    except (UnreadableAnswer, TimeoutError):
        return {}
