"""What a command that lives for a second does not need: found by measuring, left out here.

Each part says what it saves of a run on one host with nothing to do, which takes 0.6 s of CPU.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import threading
from types import ModuleType
from typing import Any

_OBJECTS = 50_000
"""New objects after which Python looks for cycles, 700 by default."""


def spare_collections() -> None:
    """Let Python look for unreachable cycles seldom: 100 times while modules load saves nothing.

    6 %. Nearly all that we make is freed by counting references; what is not is found later.
    """
    gc.set_threshold(_OBJECTS)


def import_invoke() -> None:
    """Import Invoke without what only its users' tests need, and its second copy of PyYAML.

    A tenth. Invoke imports `unittest.mock`, and asyncio with it, for a class that nobody uses in a run: who
    does makes a real Mock all the same. Where Invoke is packaged without its copies it uses PyYAML
    itself. Does nothing when Invoke is there already, as under `invoke`.
    """
    if "invoke" in sys.modules:
        return
    import yaml

    sys.modules.setdefault("invoke.vendor.yaml", yaml)
    stand_in: Any = ModuleType("unittest.mock")
    stand_in.Mock = _mock
    ours = sys.modules.setdefault("unittest.mock", stand_in) is stand_in
    try:
        importlib.import_module("invoke")
    finally:
        if ours:
            del sys.modules["unittest.mock"]


def _mock(*args: Any, **named: Any) -> Any:
    from unittest.mock import Mock

    return Mock(*args, **named)


def leave(status: object) -> None:
    """End the process at once when all is said and done; return when that is not for us to do.

    A sixth: Python would take down every module and object, one by one.
    """
    if not isinstance(status, int) or _somebody_at_work():
        return  # a message is still to be printed, or a thread to be waited for
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # Python knows what to do about a closed pipe
    atexit._run_exitfuncs()  # noqa: SLF001 - what others asked for is still done
    os._exit(status)


def _somebody_at_work() -> bool:
    ourselves = threading.current_thread()
    return any(not one.daemon for one in threading.enumerate() if one is not ourselves)
