"""`python -m tests.bench`: measure, say what was reached, and write it down when asked to.

Progress goes to standard error, results to standard output. Ends with 0 when every goal that was
measured is met, with 1 when one is not.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench import environments, page
from tests.bench.outcome import Options, Outcome
from tests.bench.timing import Failed

BENCHMARKS = ("startup", "compare", "scale", "backups")
"""In the order in which they run; each is a module of this package."""


def main(words: Sequence[str]) -> int:
    """Run what the command line asks for and return the exit status."""
    asked = _parser().parse_args(words)
    chosen = [import_module(f"tests.bench.{name}") for name in asked.only or _there()]
    _end_by_signal()
    started = time.monotonic()
    try:
        with _place() as place:
            until = started + 60 * asked.minutes
            options = Options(
                place, asked.rounds, asked.hosts, asked.tools, asked.quick, asked.scale, until
            )
            outcomes = []
            for outcome in _measured(chosen, options):
                # At once: what was measured for half an hour outlives a benchmark that fails.
                outcomes.append(outcome)
                _keep(outcomes, time.monotonic() - started)
                if asked.write:
                    page.write(outcome, f"{datetime.now(UTC):%Y-%m-%d}", options.say)
    except Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything that was started has been ended", file=sys.stderr)
        return 130
    seconds = time.monotonic() - started
    _tell(outcomes, seconds, as_json=asked.json)
    return 0 if all(goal.met for outcome in outcomes for goal in outcome.goals) else 1


def _there() -> list[str]:
    return [name for name in BENCHMARKS if hasattr(import_module(f"tests.bench.{name}"), "measure")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", action="append", choices=_there(), help="one benchmark")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each tool in each case")
    parser.add_argument("--hosts", type=_numbers, default=(), help="such as 1,8,32")
    parser.add_argument("--tools", type=_names, default=(), help="such as opsplay,floor,pyinfra")
    parser.add_argument("--minutes", type=float, default=60.0, help="leave out what would be later")
    parser.add_argument("--quick", action="store_true", help="opsplay and the floor, one round")
    parser.add_argument("--scale", type=float, default=0.0, help="share of a site's size: 0.02")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


@contextmanager
def _place() -> Iterator[Path]:
    """Make an empty directory on disk: a journal in memory would be too fast to be true."""
    environments.cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="run-", dir=environments.cache(), ignore_cleanup_errors=True
    ) as place:
        yield Path(place)


def _measured(chosen: Sequence[Any], options: Options) -> Iterator[Outcome]:
    expected = [one.estimate(options) for one in chosen]
    options.say(f"about {sum(expected) / 60:.1f} minutes on a quiet machine")
    for one in chosen:
        yield one.measure(options)


def _tell(outcomes: Sequence[Outcome], seconds: float, *, as_json: bool) -> None:
    if as_json:
        print(_as_json(outcomes, seconds))
        return
    for outcome in outcomes:
        print(f"\n{outcome.name}\n\n{page.section(outcome)}")
    print(f"\ntook {seconds / 60:.1f} minutes")


def _keep(outcomes: Sequence[Outcome], seconds: float) -> None:
    """Keep every number, whatever becomes of tables and plots."""
    (environments.cache() / "last.json").write_text(_as_json(outcomes, seconds))


def _as_json(outcomes: Sequence[Outcome], seconds: float) -> str:
    goals = [goal.facts for outcome in outcomes for goal in outcome.goals]
    data = {outcome.name: outcome.data for outcome in outcomes}
    told = {"message_type": "bench", "goals": goals, "seconds": round(seconds), **data}
    return json.dumps(told, ensure_ascii=False)


def _end_by_signal() -> None:
    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
