"""Death at every point of a run on a real host: of the controller, of the host's shell, of both.

A point is a moment in one run: a write to the journal, a script sent to the host, a phase of a
detached job. The run is carried out in a child process that has that one death in it; then it is
resumed until it has an end, by a person who answers the run's questions after looking at the host.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.engine.workplace import Workplace
from tests.transports.sshd import Sshd, running

from opsplay import app
from opsplay.app import workshop
from opsplay.app.answers import open_questions
from opsplay.core.query import Answer
from opsplay.engine import job as jobs
from opsplay.journal import Journal
from opsplay.transports.around import Around

PHASES = {
    "stored": ('  mv "$d/script.$$" "$d/script"', "{}\n  mv"),
    "claimed": ('mkdir "$1/claimed" 2>/dev/null || exit 0', "after"),
    "pid": ('echo $$ > "$1/pid"; ', "after"),
    "begun": ("    umask 022\n", "after"),
    "ended": ('    sh "$1/script" > "$1/out" 2> "$1/err" < /dev/null\n', "after"),
    "rc.new": ('    printf "%-8s\\n" "$?" 1<> "$1/rc.new"\n', "after"),
    "rc": ('mv "$1/rc.new" "$1/rc"\n', "after"),
}
"""Phase of a detached job → the text of its starter at which its shell is killed."""


@dataclass(frozen=True)
class Point:
    """One death. `number` counts writes, scripts or jobs of the run, from 0."""

    kind: str
    number: int
    how: str

    def __str__(self) -> str:
        return f"{self.kind} {self.number} {self.how}"


def points(writes: int, lines: int, started: int) -> list[Point]:
    """Return every point of a run that took so many writes, scripts and jobs."""
    return [
        *(Point("write", n, how) for n in range(writes) for how in ("before", "after")),
        *(Point("line", n, how) for n in range(lines) for how in ("unsent", "sent", "answered")),
        *(
            Point("job", n, f"{phase}{also}")
            for n in range(started)
            for phase in PHASES
            for also in ("", " and controller")
        ),
    ]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Counted:
    """How often each kind of moment has come so far."""

    write: int = 0
    line: int = 0
    job: int = 0

    def next(self, kind: str) -> int:
        number: int = getattr(self, kind)
        setattr(self, kind, number + 1)
        return number


class Mortal(Around):
    """A transport whose controller dies at one script."""

    def __init__(self, inner: object, point: Point | None, count: Counted, home: Path) -> None:
        super().__init__(inner)
        self._point, self._count, self._home = point, count, home

    def run(self, script: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Answer:
        here = Point("line", self._count.next("line"), "")
        how = self._point.how if self._point and self._point == Point("line", here.number, self._point.how) else ""  # fmt: skip
        if how == "unsent":
            _die()
        if how == "sent":
            mark = self._home / f"heard-{here.number}"
            die_when(mark.exists)
            script = f': > "$HOME/{mark.name}"\n{script}'
        answer = self._inner.run(script, stdin=stdin, timeout=timeout)
        if how:
            _die()
        return answer


def die_when(happened: Callable[[], object]) -> None:
    """Kill this process as soon as it has happened."""

    def watch() -> None:
        while not happened():
            time.sleep(0.001)
        _die()

    threading.Thread(target=watch, daemon=True).start()


def arm(point: Point | None, home: Path) -> Counted:
    """Put one death into this process, which is about to carry a run out; None: only count."""
    count = Counted()
    append, start, opened = Journal.append_all, jobs.start_script, workshop.open_transport

    def append_all(self, *words, **named):
        number = count.next("write")
        if point == Point("write", number, "before"):
            _die()
        events = append(self, *words, **named)
        if point == Point("write", number, "after"):
            _die()
        return events

    def start_script(*words, **named):
        number, script = count.next("job"), start(*words, **named)
        if point is None or (point.kind, point.number) != ("job", number):
            return script
        phase, _, both = point.how.partition(" and ")
        if both:
            die_when((home / "shell-killed").exists)
        return with_death(script, phase)

    Journal.append_all = append_all
    jobs.start_script = start_script
    workshop.open_transport = lambda host: Mortal(opened(host), point, count, home)
    return count


def with_death(script: str, phase: str) -> str:
    """Return a start's script whose host-side shell is killed in one phase of the job."""
    text, where = PHASES[phase]
    # The whole group, as when a host goes down; before the controller may notice, the mark.
    death = ': > "$HOME/shell-killed"; kill -9 0; sleep 9\n'
    if where == "after":
        changed = script.replace(text, f"{text}\n{death}")
    else:
        changed = script.replace(text, f'  : > "$HOME/shell-killed"; kill -9 $$; sleep 9\n{text}')
    assert changed != script, f"the starter has no such line any more: {text}"
    return changed


# What a worker does with its points


@dataclass(frozen=True)
class Scene:
    """One host and one ops repository, built anew for each point."""

    server: Sshd
    folder: Path
    stages: str

    @property
    def home(self) -> Path:
        return self.server.folder / "home"

    @property
    def place(self) -> Workplace:
        """The workplace as `fresh` builds it."""
        return self.reached_by(0)

    def reached_by(self, port: int) -> Workplace:
        """Return the workplace whose host is reached by another port, such as a relay's."""
        host = self.server.host(port=port)
        return Workplace(self.folder, host=host.address, ssh=host.ssh_config)

    def fresh(self, port: int = 0) -> Workplace:
        for old in (self.folder, self.home):
            shutil.rmtree(old, ignore_errors=True)
        self.home.mkdir()
        place = self.reached_by(port).build()
        place.offer("2.0")
        return place

    def attempt(self, point: Point | None) -> tuple[Workplace, int]:
        """Carry the run out with one death in it; return its exit status, -9 after SIGKILL."""
        place = self.fresh()
        book = place.playbook(self.stages)

        def work() -> int:
            count = arm(point, self.home)
            ended = app.run(book, place.options)
            (self.folder / "counts").write_text(f"{count.write} {count.line} {count.job}")
            return int(ended.exit_status)

        return place, in_child(work)

    def go_on(self, place: Workplace) -> int:
        """Resume until the run has an end, answering its questions; return its exit status."""
        status = 1
        for _ in range(4):
            status = in_child(lambda: resumed(place))
            if status != 77:
                return status
        return status


def resumed(place: Workplace) -> int:
    """Resume once; 77: the run asked something, and is to be resumed again."""
    journal = app.journal(place.options)
    if not journal.runs():
        return 1  # it died before its first line: nothing is known, and nothing was done
    run = journal.resolve("last")
    asked = open_questions(journal, run)
    # A person looks: the word that the command leaves in the diary is there, or it is not.
    answers = {
        site: "done" if any(word in place.diary() for word in str(event.data["what"]).split()) else "redo"
        for site, event in asked.items()
    }  # fmt: skip
    ended = app.resume(run, place.options, answers=answers)
    still = open_questions(journal, run)
    journal.close()
    return 77 if still else int(ended.exit_status)


def in_child(work: Callable[[], int]) -> int:
    """Return what `work` returns in a process of its own, negative for the signal it died of."""
    return os.waitstatus_to_exitcode(os.waitpid(beginning(work), 0)[1])


def beginning(work: Callable[[], int]) -> int:
    """Begin `work` in a process of its own, which exits with what it returns; return its id."""
    child = os.fork()
    if child:
        return child
    status = 98
    try:
        status = work()
    except BaseException:  # noqa: BLE001 - told, and the status says it
        traceback.print_exc()
    finally:
        os._exit(status)


def everywhere(
    folder: Path, stages: str, judge: Callable[[Scene, Point], str], chosen: list[Point], *, workers: int = 2
) -> list[str]:  # fmt: skip
    """Judge each point, on some hosts side by side; return what went wrong where."""
    parts = [chosen[number::workers] for number in range(workers)]
    told = get_context("fork").SimpleQueue()

    def work(number: int) -> None:
        place = folder / str(number)
        (place / "host").mkdir(parents=True)
        with running(place / "host") as server:
            scene = Scene(server, place / "work", stages)
            for point in parts[number]:
                wrong = judge(scene, point)
                told.put(f"{point}: {wrong}" if wrong else "")

    children = [get_context("fork").Process(target=work, args=(n,)) for n in range(workers)]
    for child in children:
        child.start()
    answers = [told.get() for _ in chosen]
    for child in children:
        child.join()
    return [answer for answer in answers if answer]


@contextmanager
def scene_of(folder: Path, stages: str) -> Iterator[Scene]:
    """A host of its own for a few runs."""
    (folder / "host").mkdir(parents=True)
    with running(folder / "host") as server:
        yield Scene(server, folder / "work", stages)
