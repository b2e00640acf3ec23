"""Sites on this machine, runs that leave marks, and workers in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.engine.workplace import Workplace

from opsplay.app.options import Options
from opsplay.app.workers import submit
from opsplay.journal import Journal, open_journal
from opsplay.kit.clock import SystemClock

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fleet:
    """An ops repository below `place.folder` whose journal is at `url`."""

    place: Workplace
    url: str

    @property
    def options(self) -> Options:
        return replace(self.place.options, journal=self.url)

    def playbook(self, sites: str = "all", steps: int = 2, seconds: float = 0.05) -> Path:
        marks = [f"- command: {{run: '{_marks(step, seconds)}'}}" for step in range(steps)]
        text = "\n".join(f"      {line}" for line in marks)
        path = self.place.folder / "ops" / f"marks-{sites}-{steps}-{seconds}.yaml"
        path.write_text(
            f'name: Marks\nsites: "{sites}"\nstages:\n  - name: Work\n    steps:\n{text}\n'
        )
        return path

    def submit(self, site: str, steps: int = 2, seconds: float = 0.05) -> str:
        return submit(self.playbook(site, steps, seconds), self.options)

    def journal(self) -> Journal:
        return open_journal(self.url, SystemClock())

    @contextmanager
    def worker(self, name: str, *flags: str) -> Iterator[Worker]:
        log = self.place.folder / f"{name}.log"
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OPSPLAY_JOURNAL": self.url}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, PROJECT / "tests/workers/serving.py", "--name", name, *flags],
                cwd=self.place.folder / "ops", env=environment, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        worker = Worker(process, log)
        try:
            yield worker
        finally:
            worker.end()

    def marks(self, site: str) -> list[tuple[str, str, str]]:
        """Return what was done on a site: (begin or end, run, step)."""
        path = self.place.folder / f"{site}.marks"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [re.fullmatch(r"(begin|end) .*/runs/([^/]+)/\S+ (\d+)", line) for line in lines]
        return [one.groups() for one in found]

    def overlaps(self, site: str) -> list[str]:
        """Return what was begun on a site while something else was not ended, and runs mixed up."""
        wrong, under_way, seen = [], None, []
        for what, run, step in self.marks(site):
            if what == "begin":
                if under_way is not None:
                    wrong.append(f"{site}: {run} {step} begins while {under_way} is under way")
                under_way = (run, step)
                seen += [run] if run not in seen[-1:] else []
            elif under_way == (run, step):
                under_way = None
            else:
                wrong.append(f"{site}: {run} {step} ends, which is not under way")
        wrong += [f"{site}: {run} was at work twice" for run, n in Counter(seen).items() if n > 1]
        return wrong

    def twice(self, site: str) -> list[tuple[str, str, str]]:
        """Return the acts that were done more than once on a site."""
        return [mark for mark, number in Counter(self.marks(site)).items() if number > 1]


def _marks(step: int, seconds: float) -> str:
    # A template may not stand in a shell variable's braces, so the site is its directory's name.
    mark = "$OPSPLAY_RUN_DIR"
    file = '"../$(basename "$PWD" -production).marks"'
    return f"echo begin {mark} {step} >> {file}; sleep {seconds}; echo end {mark} {step} >> {file}"


@dataclass(frozen=True)
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    @property
    def told(self) -> str:
        return self.log.read_text()


def wait_until(true, seconds: float = 60, every: float = 0.1):
    """Wait until `true()` is; return what it returned."""
    clock = SystemClock()
    ends = clock.monotonic() + seconds
    while not (found := true()):
        assert clock.monotonic() < ends, "it never came to it"
        clock.sleep(every)
    return found
