"""Deaths, and the tools of a host that may die at one of their starts."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tests.backup.userland import DATABASE, GNU, MORE

from opsplay.core.errors import OpsplayError

CONTROLLER = "controller"
_OF_THE_SHELL = {"echo", "env", "false", "nice", "printf", "sh", "test", "true"}
TOOLS = tuple(sorted({*GNU, *DATABASE, *MORE["gnu"], "perl", "php"} - _OF_THE_SHELL))

_TOLD_EVERY = 100
_ENOUGH = 10
"""So many deaths that go wrong end an enumeration."""


@dataclass(frozen=True)
class Death:
    """Who dies, and when: at a moment or at a start of its tool, counted from 1."""

    who: str
    """`controller`, or a process of the host as `ps` calls it."""
    at: int
    how: Literal["line", "start", "end"] = "line"
    which: int = 0
    """Of those of that name that are alive at a moment, oldest first."""

    def __str__(self) -> str:
        number = f" {self.which + 1}" if self.which else ""
        return f"{self.who}{number} at {self.how} {self.at}"


@dataclass(frozen=True)
class Starts:
    """Tools of a host that count how often they are started, and one of which may die of it."""

    folder: Path

    def arm(self, *tools: str, death: Death | None = None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "bin").mkdir(parents=True)
        for tool in tools:
            self._shim(tool, death)
        os.environ["PATH"] = f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def deaths(self) -> list[Death]:
        """Return every death that a start may bring, after all were counted."""
        starts = Counter(path.stem.rpartition(".")[0] for path in self.folder.glob("*.start"))
        return [
            Death(tool, at, how)
            for tool, count in sorted(starts.items())
            for at in range(1, count + 1)
            for how in ("start", "end")
        ]

    @property
    def killed(self) -> bool:
        return (self.folder / "killed").exists()

    def _shim(self, tool: str, death: Death | None) -> None:
        real = shutil.which(tool)
        if real is None:
            return
        kill = f"true >{self.folder}/killed; kill -9 $$"
        dies = {"start": kill, "end": f'{real} "$@"; {kill}'}.get(death.how, "") if death else ""
        shim = self.folder / "bin" / tool
        shim.write_text(
            f"#!/bin/sh\nset -C\nn=1\n"
            f'until {{ true >"{self.folder}/{tool}.$n.start"; }} 2>/dev/null; do n=$((n + 1)); done\n'
            f"set +C\n"
            f"[ $n != {death.at if death else 0} ] || {{ {dies or ':'}; }}\n"
            f'exec {real} "$@"\n'
        )
        shim.chmod(0o755)


class Dies(Protocol):
    """A trial of one thing that may end in any death."""

    def deaths(self) -> list[Death]: ...

    def die(self, death: Death) -> str: ...


def enumerate_deaths(trial: Dies, rounds: int, told: Callable[[str], None]) -> None:
    """Let it die so many of all deaths, by chance; tell what became of them.

    OPSPLAY_SOAK_DEATHS="zstd at start 3, tee at start 1": only these, as they were told.
    """
    every = trial.deaths()
    named = set(filter(None, os.environ.get("OPSPLAY_SOAK_DEATHS", "").split(", ")))
    chosen = random.Random(9).sample(every, min(rounds, len(every)))
    chosen = [death for death in every if str(death) in named] if named else chosen
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for done, death in enumerate(chosen):
        if done and done % _TOLD_EVERY == 0:
            told(f"{done} of {len(chosen)} deaths, {len(wrong)} wrong")
        who = "controller" if death.who == CONTROLLER else f"process of the host, {death.how}"
        try:
            ends[f"{who}: {trial.die(death)}"] += 1
        except (AssertionError, OpsplayError) as error:
            wrong.append(f"{death}: {error}")
            told(wrong[-1])
            if len(wrong) == _ENOUGH:
                break
    counts = "; ".join(f"{count} {what}" for what, count in sorted(ends.items()))
    told(f"{ends.total() + len(wrong)} of {len(every)} deaths: {counts}; {len(wrong)} wrong")
    assert wrong == []


def first(moments: list[str], name: str) -> int:
    """Return the first moment of that name, counted from 1."""
    return next(at for at, each in enumerate(moments, 1) if each.startswith(name))
