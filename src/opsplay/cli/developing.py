"""Verbs for those who work on opsplay itself: test, bench, soak, dev.lint, dev.schema."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from invoke import Context

from opsplay.cli.screen import emit
from opsplay.cli.verb import READING, verb
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.kit.shell import quote

_GATES = (
    "ruff format --check src tests tasks.py",
    "ruff check src tests tasks.py",
    "mypy",
    "lint-imports",
    "vulture",
    "deptry src",
    "codespell src tests docs playbooks inventory README.md",
)


_WORKERS = 3
"""Test processes, each with a lab of its own; on two cores most of their time is waiting."""


def _at_home() -> None:
    if not Path("src/opsplay/cli").is_dir():
        cause = "this verb works on opsplay's own source, and that is not here"
        raise InvalidInput(cause, next_command="cd into the clone of opsplay")


@verb(
    READING,
    name="test",
    help={
        "fast": "Leave out what needs real daemons.",
        "proofs": "Then the slow proofs, too: kill -9 at every journal write, cut lines.",
        "select": "EXPRESSION that test names must match, as pytest's -k.",
    },
)
def run_tests(
    context: Context, fast: bool = False, proofs: bool = False, select: str = ""
) -> ExitStatus:
    """Run the tests, on real parts, with branch coverage.

    Everything that is needed is started on free ports in temporary folders, and ended afterwards.
    """
    _at_home()
    if not fast:
        # Before the test processes: they would all install at once, against their time limit.
        from opsplay.lab import Lab

        Lab.prepare(lambda text: emit(f"lab: {text}"))
    marks = "not soak and " + ("not real and not proof" if fast else "not proof")
    named = f" -k '{select}'" if select else ""
    least = " --fail-under=0" if fast or select else ""
    _went_well(context, "python -m coverage erase")
    # Three labs on two cores: a test that loses a race there gets a second chance, and is named.
    spread = f"-n {_WORKERS} --dist worksteal --reruns 1 --durations 25"
    pytest = f"python -m coverage run -m pytest -q {spread}{named}"
    passed = _went_well(context, f"{pytest} -m '{marks}'")
    _went_well(context, "python -m coverage combine --quiet")
    covered = _went_well(context, f"python -m coverage report{least}")
    # Two at once, each on a lab of its own: half of their time is waiting. `-rP` says what they tried.
    beside = "-n 2 --dist worksteal --reruns 1 -rP --durations 10"
    proved = not proofs or _went_well(
        context, f"python -m pytest -q {beside}{named} -m 'proof and not soak'"
    )
    return ExitStatus.DONE if passed and covered and proved else ExitStatus.FAILED


@verb(
    READING,
    help={
        "only": "BENCHMARK to run: startup, compare, scale or backups (all).",
        "hosts": "NUMBERS of hosts to compare at, such as 1,8,32.",
        "tools": "NAMES of tools to compare, such as opsplay,floor,pyinfra (all).",
        "rounds": "NUMBER of rounds of each tool (as many as each deserves).",
        "minutes": "MINUTES after which nothing more is begun (60).",
        "scale": "SHARE of the full size of a site that is saved, in percent (100).",
        "quick": "opsplay and the floor alone, one round.",
        "write": "Write tables and plots into docs/benchmarks.md.",
        "json": "Print one JSON document.",
    },
)
def bench(  # noqa: PLR0913, PLR0917 - one argument a flag
    context: Context,
    only: str = "",
    hosts: str = "",
    tools: str = "",
    rounds: int = 0,
    minutes: int = 60,
    scale: int = 0,
    quick: bool = False,
    write: bool = False,
    json: bool = False,
) -> ExitStatus:
    """Measure opsplay against Ansible, mitogen, pyinfra and the floor; backups against restic and borgmatic.

    Installs them with pip into environments of their own, kept below ~/.cache/opsplay/bench, and starts its own sshd hosts on loopback. Status 1
    also says that a goal is not met. Let nothing else run meanwhile.
    """
    _at_home()
    settings: dict[str, object] = {"only": only, "hosts": hosts, "tools": tools}
    settings["rounds"] = rounds or ""
    settings["minutes"] = minutes
    settings["scale"] = scale / 100 or ""
    words = [f"--{name}={quote(str(value))}" for name, value in settings.items() if value]
    flags = {"quick": quick, "write": write, "json": json}
    words += [f"--{name}" for name, given in flags.items() if given]
    went_well = _went_well(context, " ".join(["python -m tests.bench", *words]))
    return ExitStatus.DONE if went_well else ExitStatus.FAILED


@verb(
    READING,
    help={
        "select": "EXPRESSION that test names must match, as pytest's -k.",
        "rounds": "NUMBER of rounds of those that have rounds (50).",
    },
)
def soak(context: Context, select: str = "", rounds: int = 50) -> ExitStatus:
    """Run the proofs that take long: death at every point, lines cut for good, many rounds.

    They print what they tried. On two cores all of it takes about an hour.
    """
    _at_home()
    named = f" -k {quote(select)}" if select else ""
    words = f"python -m pytest -q -s -n 0 -p no:randomly{named} -m soak"
    went_well = _went_well(context, f"OPSPLAY_SOAK_ROUNDS={rounds} {words}")
    return ExitStatus.DONE if went_well else ExitStatus.FAILED


def _went_well(context: Context, command: str) -> bool:
    # The tools stand beside the Python that runs us, also where nobody activated its environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = context.run(command, warn=True, env={"PATH": path})
    return result is not None and result.ok


@verb(READING, name="lint")
def lint(context: Context) -> ExitStatus:
    """Run every check of form: rules, types, layers, spelling."""
    _at_home()
    failed = [gate for gate in _GATES if not _went_well(context, gate)]
    emit(f"failed: {'; '.join(failed)}" if failed else "all checks passed")
    return ExitStatus.FAILED if failed else ExitStatus.DONE


@verb(READING, name="schema", help={"check": "Only say what has drifted (status 1)."})
def schema(_context: Context, check: bool = False) -> ExitStatus:
    """Write schemas and reference pages anew from the code."""
    from opsplay import cms, steps
    from opsplay.language import drifted, write_generated

    _at_home()
    cms.load()
    steps.load()
    paths = drifted(Path()) if check else write_generated(Path())
    for path in paths:
        emit(f"{'drifted' if check else 'wrote'} {path}")
    return ExitStatus.FAILED if check and paths else ExitStatus.DONE
