"""What stands before a stage that would change something: approvals and its window."""

from __future__ import annotations

from dataclasses import asdict

from opsplay.core.errors import StepFailed, Waiting
from opsplay.core.playbook import Window
from opsplay.engine.approval import insist_on_stage, wait
from opsplay.engine.context import Context
from opsplay.engine.plan import PlannedStage
from opsplay.engine.window import in_words, is_open, opens_next


def kept_out(context: Context, planned: PlannedStage) -> str:
    """Return why a stage must not begin at all; empty when it may begin now.

    Asked before lock, door and every act. Raises Waiting while its window is closed.
    """
    try:
        insist_on_stage(context, planned)
    except StepFailed as error:
        return str(error)
    window = planned.stage.window
    now = context.tools.clock.now()
    if window is None or context.tools.any_hour or is_open(window, now):
        return ""
    raise wait(
        context, _closed(context, planned, window), planned.stage.name, window=asdict(window)
    )


def _closed(context: Context, planned: PlannedStage, window: Window) -> Waiting:
    opens = opens_next(window, context.tools.clock.now())
    return Waiting(
        f"{planned.stage.name} waits for its window, {window.text}, until {in_words(window, opens)}",
        reason="window",
        until=opens,
        next_command=f"invoke resume {context.run}",
    )
