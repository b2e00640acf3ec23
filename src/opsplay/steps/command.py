"""Run a command of one's own on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from opsplay.core.action import Shell
from opsplay.core.change import Change
from opsplay.core.query import Query
from opsplay.core.site import Site
from opsplay.core.step import Step, param
from opsplay.kit.secret import Secret
from opsplay.kit.shell import command


@dataclass(frozen=True)
class Variable:
    """An environment variable whose value is a secret."""

    name: str = param(
        "Name of the variable.", examples=["API_TOKEN"], pattern="^[A-Za-z_][A-Za-z0-9_]*$"
    )
    value: Secret = param(  # noqa: RUF009 - it declares a field, as in a step
        "Where its value is had from.", examples=[{"secret": "env:API_TOKEN"}]
    )


class Command(Step[bool], kind="command"):
    """Run a POSIX sh command in the root of the site.

    With `unless` it is run only where that other command fails, and checked by it afterwards;
    without, it is run every time.
    """

    run: str = param(
        "The command.", examples=["php bin/console cache:clear --env=prod"], minLength=1
    )
    unless: str = param(
        "A command that only looks; where it succeeds there is nothing to do.",
        default="",
        examples=["test -e .htaccess"],
    )
    changes: str = param(
        "What it changes, in a shop owner's words; empty: the command itself is shown.",
        default="",
        examples=["the product images' small versions"],
    )
    loses: str = param(
        "What cannot be brought back afterwards, in a shop owner's words.",
        default="",
        examples=["the statistics of visits"],
    )
    timeout: float = param(
        "Seconds after which it is ended.", default=3600.0, examples=[600], exclusiveMinimum=0
    )
    secrets: tuple[Variable, ...] = param(
        "Environment variables that hold secrets; they are never written anywhere.",
        default=(),
        examples=[[{"name": "API_TOKEN", "value": {"secret": "env:API_TOKEN"}}]],
    )

    @property
    def convergent(self) -> bool:  # type: ignore[override]  # depends on a setting here
        """Whether `unless` can verify it."""
        return bool(self.unless)

    @property
    def when_unknown(self) -> Literal["probe", "ask"]:  # type: ignore[override]  # as above
        """Looked up with `unless`; without it, a person is asked whether it was done."""
        return "probe" if self.unless else "ask"

    @property
    def together(self) -> bool:  # type: ignore[override]  # as above
        """Together with its neighbours where `unless` can look at it afterwards."""
        return bool(self.unless)

    def probe(self, site: Site) -> Query[bool]:
        if not self.unless:
            return Query("", lambda _answer: False)
        return Query(_in_root(site, self.unless), lambda answer: answer.ok)

    def plan(self, site: Site, seen: bool) -> Iterator[Change]:
        if not seen:
            yield Change(
                what=self.changes or f"command {self.run.splitlines()[0]}",
                after="done",
                do=Shell(
                    _in_root(site, self.run),
                    timeout=self.timeout,
                    secrets={variable.name: variable.value for variable in self.secrets},
                    unless=_in_root(site, self.unless) if self.unless else "",
                ),
                loses=self.loses,
            )


def _in_root(site: Site, script: str) -> str:
    return f"{command('cd', site.here.root)} || exit 1\n{script}\n"
