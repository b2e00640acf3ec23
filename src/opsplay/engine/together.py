"""Acts of several steps in one script: what each came to is told apart, and the first failure ends it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsplay.core.action import Action, Shell, Write
from opsplay.core.event import Event
from opsplay.engine.acts import PUT, looking, put_call
from opsplay.engine.job import JobReport, JobState
from opsplay.engine.plan import PlannedStep
from opsplay.kit.shell import quote

MOST = 20
"""Acts in one script."""
_TOLD = 900
_ERRORS = 300
"""Bytes of what an act says that are told: with the lines between them, less than a job's `TAIL`."""
_PATIENCE = Shell("").timeout

_HEAD = r"""
part=${{0%/*}}/part
tell() {{
  # What an act came to ($1, status $2), and what it said.
  printf '\n%s %s %s\n' {mark} "$1" "$2"; [ ! -s "$part.out" ] || tail -c {told} "$part.out"
  printf '\n%s errors\n' {mark}; [ ! -s "$part.err" ] || tail -c {errors} "$part.err"
  [ "$2" -eq 0 ] || exit "$2"
}}
"""
_RUN = r"""
if {look}; then : >"$part.out"; : >"$part.err"; tell spared 0
else
  ( eval {script}
  ) >"$part.out" 2>"$part.err" </dev/null
  tell 'done' $?
fi
"""
# Not read back here: the look that follows the acts does it for all files at once.
_PUT = r"""
{{ {put}
}} >"$part.out" 2>"$part.err" </dev/null; tell 'done' $?
"""


@dataclass(frozen=True)
class Came:
    """What one act came to."""

    outcome: str
    """`done`, `failed` or `unknown`."""
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    spared: bool = False
    """Whether there was nothing left to do when its turn came."""


def groups(steps: Sequence[PlannedStep]) -> Iterator[tuple[PlannedStep, ...]]:
    """Yield the steps in order, those in one tuple whose acts may be done in one script."""
    group: list[PlannedStep] = []
    for step in steps:
        if group and not _fits(step, group):
            yield tuple(group)
            group = []
        group.append(step)
    if group:
        yield tuple(group)


def _fits(step: PlannedStep, group: Sequence[PlannedStep]) -> bool:
    acts = [change.do for one in (*group, step) for change in one.changes]
    paths = [act.path for act in acts if isinstance(act, Write)]
    alone = not (_may_join(step) and _may_join(group[0]))
    # Of two texts for one file the first would be gone before anybody looks.
    return not alone and len(acts) <= MOST and len(paths) == len(set(paths))


def _may_join(step: PlannedStep) -> bool:
    declaration = step.declaration
    if step.skipped or step.later or step.step is None or not step.changes:
        return False
    if declaration.retries or declaration.register or not step.step.together:
        return False
    return all(joinable(change.do) for change in step.changes)


def joinable(act: Action) -> bool:
    """Return whether an act may stand in one script with others."""
    match act:
        case Write():
            return True
        case Shell():
            return not act.secrets and act.timeout == _PATIENCE
        case _:
            return False


def script_of(acts: Sequence[Action], mark: str) -> str:
    """Return the one script that does all acts in order and ends at the first that fails."""
    head = _HEAD.format(mark=quote(mark), told=_TOLD, errors=_ERRORS)
    return head + PUT + "".join(map(_part, acts))


def _part(act: Action) -> str:
    match act:
        case Write():
            return _PUT.format(put=put_call(act))
        case Shell():
            return _RUN.format(look=looking(act), script=quote(act.script))
        case _:
            raise AssertionError(f"{type(act).__name__} does not stand in a script with others")


def mark_of(run: str, first: int) -> str:
    """Return what tells the acts' output apart; `first`: sequence number of the first intent."""
    return f"=====opsplay {run}-{first}====="


def came_of(report: JobReport, mark: str, count: int) -> list[Came]:
    """Return what each of `count` acts came to, as the report of their job tells."""
    parts = re.split(rf"(?:^|\n){re.escape(mark)} (done|spared) (\d+)\n", report.output)
    came = [
        _came(did, int(status), *text.partition(f"\n{mark} errors\n")[::2])
        for did, status, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    ]
    if report.state == JobState.LOST and len(came) < count:
        came.append(Came("unknown", "it was ended from outside before it was done"))
    if not came:
        came.append(Came("failed", report.told or "the host did not begin it"))
    return [*came, *[Came("failed", _NOT_BEGUN)] * (count - len(came))]


def came_of_one(report: JobReport, intent: Event, run: str) -> Came:
    """Return what an act came to that an earlier process left under way together with others."""
    place = int(intent.data["place"])
    return came_of(report, mark_of(run, intent.sequence - place), place + 1)[place]


def _came(did: str, status: int, output: str, errors: str) -> Came:
    if did == "spared":
        return Came("done", "nothing was left to do when its turn came", spared=True)
    if status:
        told = "\n".join(text.strip() for text in (output, errors) if text.strip())
        return Came("failed", f"the host answered with exit status {status}:\n{told}".strip(":\n"))
    lines = output.strip().splitlines() or [""]
    return Came("done", lines[-1], {"output": output})


_NOT_BEGUN = "not begun: an act before it was not done"
