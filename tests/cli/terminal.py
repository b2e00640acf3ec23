"""Runs the real command: in a pipe, or on a real pseudo-terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str = ""

    @property
    def plain(self):
        """What was shown, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.out).replace("\r\n", "\n")


def environment(home, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INVOKE")}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
        kept.pop(name, None)
    return {**kept, "HOME": str(home), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **more}


def piped(where, *words, program="opsplay", **more):
    done = subprocess.run(
        [str(BIN / program), *words], cwd=where, env=environment(where, **more),
        capture_output=True, timeout=60, stdin=subprocess.DEVNULL, encoding="utf-8", check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def on_terminal(where, *words, replies=(), program="opsplay", **more):
    """Run on a terminal; each reply is (text to wait for, bytes to type or signal to send)."""
    env = environment(where, **{"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"} | more)
    pid, line = pty.fork()
    if pid == 0:  # pragma: no cover - another program from here on
        os.chdir(where)
        os.execve(str(BIN / program), [program, *words], env)  # noqa: S606
    seen, waiting, ends = b"", list(replies), time.monotonic() + 60
    mark = 0
    while time.monotonic() < ends:
        ready, _, _ = select.select([line], [], [], 0.2)
        if ready:
            try:
                piece = os.read(line, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        if waiting and waiting[0][0].encode() in seen[mark:]:
            _, reply = waiting.pop(0)
            mark = len(seen)
            if isinstance(reply, signal.Signals):
                os.kill(pid, reply)
            else:
                os.write(line, reply)
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(line)
    _, status = os.waitpid(pid, 0)
    return Ended(os.waitstatus_to_exitcode(status), seen.decode("utf-8", "replace"))
