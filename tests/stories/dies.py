"""Run a playbook in a process that kills itself (SIGKILL) at one journal write of one stage.

Called as `python tests/stories/dies.py PLAYBOOK STAGE before|after NUMBER`. `before`: right before
write NUMBER of the stage (from 0) reaches the disk, so that an act is done and nobody knows;
`after`: right after it, so that what it announces has not begun.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from opsplay import app
from opsplay.journal import Journal


def main(playbook: str, stage: str, side: str, number: int) -> int:
    append = Journal.append
    count = {"writes": -1}

    def dying(self, run, kind, site="", data=None):
        if kind == "stage_started" and data["stage"] == stage:
            count["writes"] = 0
        here = count["writes"] == number
        if here and side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        event = append(self, run, kind, site, data)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        if count["writes"] >= 0:
            count["writes"] += 1
        return event

    Journal.append = dying
    return int(app.run(Path(playbook), app.Options()).exit_status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
