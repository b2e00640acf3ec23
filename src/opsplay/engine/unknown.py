"""An act whose end nobody saw: it is done again, looked up, or a person is asked.

Which of these, the step's kind says (`Step.when_unknown`). A question is journalled once; the
answer comes with `resume RUN --done SITE` or `--redo SITE` and is journalled too.
"""

from __future__ import annotations

from typing import Any

from opsplay.core.errors import Unanswered
from opsplay.core.event import Event
from opsplay.core.step import Step
from opsplay.engine.context import Context
from opsplay.engine.history import StageHistory
from opsplay.engine.plan import PlannedStep


def done_before(
    context: Context, stage: StageHistory, planned: PlannedStep, step: Step[Any], number: int
) -> Event | None:
    """Return the result of an act that an earlier attempt at the run did, None when it is to do.

    Raises Unanswered when nobody knows whether it was done, and its kind says to ask.
    """
    # Planning again shows what is left to do of what can be looked up; of the rest only the
    # journal knows, and the host that was asked how the act under way ended.
    if step.observes or step.when_unknown == "probe":
        return None
    result = stage.done_before(planned.index, number)
    if result is None and step.when_unknown == "ask":
        lost = stage.unknown_before(planned.index, number)
        if lost is not None:
            known = stage.results.get(lost.sequence)
            told = str(known.data["facts"].get("output", "")) if known else ""
            raise question(context, stage, lost, told)
    return result


def question(context: Context, stage: StageHistory, intent: Event, told: str) -> Unanswered:
    """Return the question whether an act was done, journalled unless it was asked before."""
    run, site = context.run, context.site.name
    host = str(context.at(str(intent.data["environment"])).here.host)
    what = str(intent.data["what"])
    if intent.sequence not in stage.questions:
        context.write(
            "question",
            stage=stage.name,
            step=intent.data["step"],
            intent=intent.sequence,
            what=what,
            host=host,
            since=intent.at.isoformat(),
            output=told[-4096:],
        )
    said = f"; before that it said:\n{told.strip()[-1000:]}" if told.strip() else ""
    return Unanswered(
        f"nobody knows whether this was done: {what} (step {int(intent.data['step']) + 1} of"
        f" {stage.name}, begun on {host} at {intent.at:%Y-%m-%d %H:%M:%S} UTC); it was ended from"
        f" outside{said}",
        site=site,
        state="it was not done again, for that may do harm; look whether it was done",
        next_command=f"invoke resume {run} --done {site} (it was), or --redo {site} (do it again)",
    )
