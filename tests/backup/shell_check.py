"""shellcheck, on the scripts that are sent to hosts or given to strangers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_MEANT = "SC2089,SC2090,SC2086,SC2016,SC2317,SC2329,SC1090,SC1091"
"""Words are split where that is wanted; odd names are data, not code; functions are called from a trap or by another file."""


def complaints(script: str) -> str:
    """Return what shellcheck says of a script as POSIX sh; empty when nothing."""
    tool = shutil.which("shellcheck") or str(Path(sys.executable).with_name("shellcheck"))
    words = [tool, "--shell=sh", f"--exclude={_MEANT}", "--severity=warning", "-"]
    done = subprocess.run(words, input=script.encode(), capture_output=True, check=False)
    return done.stdout.decode() + done.stderr.decode()
