"""Ask for an approval, wait for it, and let nothing be done but what was agreed to.

What is agreed to is a list of changes: what the later stages would do, with the exact versions and
packages of the rehearsal. It is made again on every resume, and again before each later stage
begins; a site that is no longer what was rehearsed is not published.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opsplay.core.action import Await, Clone, Store, Visit, to_data
from opsplay.core.change import Change
from opsplay.core.errors import StepFailed, Waiting
from opsplay.core.event import Event
from opsplay.engine.context import Context, Surroundings
from opsplay.engine.plan import PlannedStage, PlannedStep

KIND = "approve"
_ANSWERS = ("approved", "refused")
_NOT_PUBLISHED = (Await, Store, Visit)
"""Actions that leave the site as it is."""
_AGAIN = "run the playbook again: it rehearses what is there now, and asks again"

Item = Mapping[str, Any]
"""One change as it is agreed to: stage, step, what, key, before, after, version, package, do."""


@dataclass(frozen=True)
class Asking:
    """What somebody was asked, and what they said."""

    asked: Event
    answer: Event | None = None

    @property
    def expires(self) -> datetime:
        """Return until when they may answer."""
        return datetime.fromisoformat(self.asked.data["expires"])

    @property
    def approved(self) -> bool:
        """Return whether they agreed in time."""
        return self._says("approved")

    @property
    def refused(self) -> bool:
        """Return whether they refused."""
        return self._says("refused")

    def _says(self, kind: str) -> bool:
        answer = self.answer
        return answer is not None and answer.kind == kind and answer.at <= self.expires


def askings(events: Iterable[Event], site: str) -> dict[tuple[str, int], Asking]:
    """Return the last question of each approve step (stage, step), with the last answer to it."""
    found: dict[tuple[str, int], Asking] = {}
    for event in events:
        if event.site != site or event.kind not in {"approval_asked", *_ANSWERS}:
            continue
        place = str(event.data["stage"]), int(event.data["step"])
        if event.kind == "approval_asked":
            found[place] = Asking(event)
        elif event.data["plan_hash"] == found[place].asked.data["plan_hash"]:
            found[place] = Asking(found[place].asked, event)
    return found


def plan_hash(items: Sequence[Item]) -> str:
    """Return the fingerprint of a list of changes, as hexadecimal SHA-256."""
    text = json.dumps([dict(item) for item in items], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def await_answer(context: Context, action: Await, around: Surroundings) -> str:
    """Return who agreed; ask first when nobody was asked yet.

    Raises Waiting while there is no answer, StepFailed when it was refused, came too late, or was
    given for something else than what would be published now.
    """
    asking = _asking(context, around)
    if asking is not None and asking.refused:
        raise _nothing_published(_said(asking, "refused it"))
    if asking is not None and not asking.approved and _now(context) >= asking.expires:
        raise _nothing_published(
            f"{action.by} did not agree until {_minute(asking.expires)}, the end of the time given"
        )
    items = _later_items(context, around.stage)
    if not items:
        return "nothing to agree to: the later stages have nothing to change"
    asking = asking or Asking(_ask(context, action, around, items))
    _insist(asking.asked.data["what"], items)
    if not asking.approved:
        raise wait(context, _unanswered(context, action, asking), around.stage, around.step)
    return _said(asking, "agreed")


def wait(context: Context, error: Waiting, stage: str, step: int = -1, **more: Any) -> Waiting:
    """Journal that a site waits, and return what is to be raised."""
    until = error.until.isoformat() if error.until else ""
    context.write(
        "waiting",
        stage=stage,
        step=step,
        reason=error.reason,
        until=until,
        detail=error.what,
        **more,
    )
    return error


def insist_on_stage(context: Context, planned: PlannedStage) -> None:
    """Raise StepFailed when a stage would do anything but what was agreed to. Asks the host."""
    for agreed in _agreed(context, planned.stage.name):
        _insist(agreed, list(_items(context, planned)))


def insist_on_changes(
    context: Context, stage: str, planned: PlannedStep, changes: Iterable[Change]
) -> None:
    """Raise StepFailed when a step is about to do what nobody agreed to.

    What a stage has done already need not be done again, so that fewer changes are fine.
    """
    meant = [one for one in changes if not isinstance(one.do, _NOT_PUBLISHED)]
    for agreed in _agreed(context, stage) if meant else ():
        of_step = [one for one in agreed if one["step"] == planned.index]
        here = [_item(stage, planned.index, change) for change in meant]
        if not any(one.get("later") for one in of_step):
            _insist_on_each(of_step, here)


def _insist_on_each(agreed: Sequence[Item], here: Sequence[Item]) -> None:
    packages = {_aim(one): one["package"] for one in agreed}
    for one in here:
        # What is left of a change that was cut short looks different, but leads to the same end.
        if _aim(one) not in packages or one["package"] not in {"", packages[_aim(one)]}:
            _insist(agreed, here)


def _asking(context: Context, around: Surroundings) -> Asking | None:
    events = context.tools.events(context.run, site=context.site.name)
    return askings(events, context.site.name).get((around.stage, around.step))


def _agreed(context: Context, stage: str) -> Iterator[list[Item]]:
    """Yield, for each approval that came before a stage, what was agreed to for the stage."""
    places = list(_approvals_before(context, stage))
    known = (
        askings(context.tools.events(context.run, site=context.site.name), context.site.name)
        if places
        else {}
    )
    for place in places:
        asking = known.get(place)
        what = asking.asked.data["what"] if asking is not None and asking.approved else []
        yield [item for item in what if item["stage"] == stage]


def _approvals_before(context: Context, stage: str) -> Iterator[tuple[str, int]]:
    for one in context.playbook.stages:
        if one.name == stage:
            return
        for index, declaration in enumerate(one.steps):
            if declaration.kind == KIND and (one.name, index) not in context.left_out:
                yield one.name, index


def _later_items(context: Context, stage: str) -> list[Item]:
    names = [one.stage.name for one in context.stages]
    later = context.stages[names.index(stage) + 1 :]
    return [item for planned in later for item in _items(context, planned)]


def _items(context: Context, planned: PlannedStage) -> Iterator[Item]:
    for step in () if planned.not_needed else planned.steps:
        if step.skipped or (step.step is not None and step.step.observes):
            continue
        if step.later:
            after = "known only when the run comes to it"
            what = {"what": step.declaration.title, "after": after, "later": True}
            yield {"stage": planned.stage.name, "step": step.index, **what}
            continue
        for change in _exact_changes(context, planned.stage.environment, step):
            if not isinstance(change.do, _NOT_PUBLISHED):
                yield _item(planned.stage.name, step.index, change)


def _exact_changes(context: Context, environment: str, planned: PlannedStep) -> Sequence[Change]:
    step = planned.step
    held = context.rehearsal(step.kind, environment) if step is not None else None
    if step is None or held is None or (exact := step.rehearsed(held)) is step:
        return planned.changes
    site = context.at(environment)
    return tuple(exact.plan(site, context.ask(environment, exact.probe(site))))


def _item(stage: str, step: int, change: Change) -> Item:
    # A driver's script may be put differently by a newer opsplay; version and package are it.
    written = change.key or isinstance(change.do, Clone)
    do = "" if written else json.dumps(to_data(change.do), sort_keys=True)
    return {
        "stage": stage,
        "step": step,
        "what": change.what,
        "key": change.key,
        "before": change.before,
        "after": change.after,
        "version": change.version,
        "package": change.package,
        "do": hashlib.sha256(do.encode()).hexdigest() if do else "",
    }


def _aim(item: Item) -> tuple[str, ...]:
    """Return what a change leads to, from wherever it begins."""
    names = ("key", "version") if item["key"] else ("what", "after", "do")
    return tuple(str(item[name]) for name in names)


def _insist(agreed: Sequence[Item], would: Sequence[Item]) -> None:
    if plan_hash(agreed) == plan_hash(would):
        return
    old, new = _listed(agreed), _listed(would)
    raise StepFailed(
        "the site is not what it was when this was agreed to, so it is not published\n"
        f"agreed to: {old}\nwould be done now: {new}",
        state="nothing was published; staging stays as it is",
        next_command=_AGAIN,
    )


def _listed(items: Sequence[Item]) -> str:
    return "; ".join(in_short(item) for item in items) or "nothing"


def in_short(item: Item) -> str:
    """Return a change as it is agreed to in one line, its package's fingerprint included."""
    change = " → ".join(text for text in (item.get("before", ""), item.get("after", "")) if text)
    _, _, pinned = str(item.get("package", "")).partition("#sha256=")
    return f"{item['what']} {change}" + (f" (package sha256 {pinned[:12]}…)" if pinned else "")


def _ask(context: Context, action: Await, around: Surroundings, items: Sequence[Item]) -> Event:
    return context.write(
        "approval_asked",
        stage=around.stage,
        step=around.step,
        by=action.by,
        note=action.note,
        plan_hash=plan_hash(items),
        expires=(_now(context) + timedelta(seconds=action.within)).isoformat(),
        what=[dict(item) for item in items],
    )


def _unanswered(context: Context, action: Await, asking: Asking) -> Waiting:
    count = len(asking.asked.data["what"])
    changes = "1 change" if count == 1 else f"{count} changes"
    return Waiting(
        f"{action.by} is asked to agree to {changes} until {_minute(asking.expires)}",
        reason="approval",
        until=asking.expires,
        next_command=f"invoke approve {context.run} --site {context.site.name}",
    )


def _nothing_published(what: str) -> StepFailed:
    state = "nothing was published; staging stays as it is"
    return StepFailed(what, state=state, next_command=_AGAIN)


def _said(asking: Asking, what: str) -> str:
    """Return an answer in one line: `client agreed (ada@office, 2026-11-24 09:12 UTC): note`."""
    answer = asking.answer
    if answer is None:
        return what
    note = f": {answer.data['note']}" if answer.data["note"] else ""
    return f"{answer.data['by']} {what} ({answer.data['who']}, {_minute(answer.at)}){note}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _now(context: Context) -> datetime:
    return context.tools.clock.now()
