"""One function a use case; the only place that joins concrete parts.

Every function takes `Options` (where things are) and returns data for `cli` to show; errors are
`OpsplayError`s. What happens while a run is under way reaches `Options.listener` as journal events.
"""

from opsplay.app.bringing_back import restore, rollback
from opsplay.app.drilling import drill
from opsplay.app.looking import accept_host, journal
from opsplay.app.options import CheckResult, Options, RunResult
from opsplay.app.runs import cancel, check, resume, run

__all__ = [
    "CheckResult",
    "Options",
    "RunResult",
    "accept_host",
    "cancel",
    "check",
    "drill",
    "journal",
    "restore",
    "resume",
    "rollback",
    "run",
]
