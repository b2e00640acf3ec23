"""Run a playbook in a process that is killed (SIGKILL) at the nth journal write of one stage.

Called as `python tests/stories/dies.py PLAYBOOK STAGE POINT`. Point 2k dies right before the write
number k of the stage reaches the disk (the act before it is done, and nobody knows), point 2k+1
right after it (the act it announces has not begun). Ends by itself with status 0 when the stage
has fewer writes.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from opsplay import app
from opsplay.journal import Journal


def main(playbook: str, stage: str, point: int) -> int:
    append = Journal.append
    writes = {"inside": False, "count": 0}

    def dying(self, run, kind, site="", data=None):
        if kind == "stage_started":
            writes["inside"] = data["stage"] == stage
        number, writes["count"] = writes["count"], writes["count"] + int(writes["inside"])
        if writes["inside"] and point == 2 * number:
            os.kill(os.getpid(), signal.SIGKILL)
        event = append(self, run, kind, site, data)
        if writes["inside"] and point == 2 * number + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "stage_finished":
            writes["inside"] = False
        return event

    Journal.append = dying
    return int(app.run(Path(playbook), app.Options()).exit_status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
