"""Run a playbook in a process that kills itself (SIGKILL) at one journal write of one stage.

Called as `python tests/stories/dies.py PLAYBOOK STAGE before|after NUMBER`. `before`: right before
write NUMBER of the stage (from 0) reaches the disk, so that an act is done and nobody knows;
`after`: right after it, so that what it announces has not begun. A run that has no such write is
not disturbed, and its writes are printed: the kinds of the events of each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from opsplay import app
from opsplay.journal import Journal


def main(playbook: str, stage: str, side: str, number: int) -> int:
    append = Journal.append_all
    count = {"writes": -1}
    written: list[list[str]] = []

    def dying(self, run, entries, **named):
        started = [data["stage"] for kind, _, data in entries if kind == "stage_started"]
        if stage in started:
            count["writes"] = 0
        here = count["writes"] == number
        if here and side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        events = append(self, run, entries, **named)
        written.append([kind for kind, _, _ in entries])
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        if count["writes"] >= 0:
            count["writes"] += 1
        return events

    Journal.append_all = dying
    status = int(app.run(Path(playbook), app.Options()).exit_status)
    print(json.dumps(written))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
