"""A worker as a process of its own: `python tests/workers/serving.py FLAGS`, in an ops repository."""

from __future__ import annotations

import faulthandler
import signal
import sys

from tests.engine.paper_cms import NAME, PaperCms

from opsplay.cli import main
from opsplay.core import drivers

if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)  # shows what every thread is at
    drivers._DRIVERS[NAME] = PaperCms
    sys.argv = ["opsplay", "serve", *sys.argv[1:]]
    sys.exit(main())
