"""A restore drill at once, without a playbook."""

from __future__ import annotations

from opsplay.app.options import Options, RunResult
from opsplay.app.runs import begin
from opsplay.app.workshop import load_kinds
from opsplay.language.read import playbook_from_text, read_inventory
from opsplay.language.together import check_together

_DRILL = """\
name: Restore drill
sites: "{sites}"
forks: 1
max_fail_percentage: 100
stages:
  - name: Prove the backup
    steps:
      - restore_drill: {{snapshot: "{snapshot}"}}
"""


def drill(options: Options, *, site: str = "", snapshot: str = "last") -> RunResult:
    """Hold a drill of one site, or of all that keep backups."""
    load_kinds()
    inventory = read_inventory(options.inventory, extra_vars=options.extra_vars)
    backed_up = [name for name, one in inventory.sites.items() if one.vault]
    text = _DRILL.format(sites=site or ", ".join(backed_up) or "all", snapshot=snapshot)
    book = playbook_from_text(text, "(drill)")
    return begin("drill", book, inventory, check_together(book, inventory, options.limit), options)
