"""A console whose reader may go away: the work that it shows goes on."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class Screen(Console):
    """As rich's, but a closed pipe or a lost terminal only ends the showing, not the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError:  # EIO: the terminal was closed
            self.on_broken_pipe()
