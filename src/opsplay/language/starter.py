"""A new ops repository: playbooks, an example inventory, and what must never be committed."""

from __future__ import annotations

from pathlib import Path

from opsplay.core.errors import InvalidInput
from opsplay.language.files import repository, schema_directory

_PACKAGED = Path(__file__).parents[1] / "starter"

_GITIGNORE = """\
# the state of runs on this machine: journal and locks
.opsplay/
# the embedded lab
.lab/
# keys and tokens that file: secrets point to
.secrets/
"""

_TASKS = '''\
"""`invoke VERB` is `opsplay VERB` in this directory."""

from opsplay.cli import adopt, namespace

__all__ = ["namespace"]
adopt()
'''

_README = """\
# Our sites

| where | what |
|---|---|
| `inventory/` | one file a client, and `vaults.yaml`; start from `example.yaml.sample` |
| `playbooks/` | what is done to the sites |
| `schemas/` | what the editor knows of both |
| `.secrets/` | keys that `file:` secrets point to; never committed |

    cp inventory/example.yaml.sample inventory/bakery.yaml     # then fill it in
    opsplay doctor
    opsplay check playbooks/update.yaml --limit bakery         # shows, changes nothing
    opsplay run playbooks/update.yaml --limit bakery

`invoke run …` does the same as `opsplay run …` here: `tasks.py` names the same verbs.
"""


def starter_texts() -> dict[str, str]:
    """Return every file of a new ops repository: path → text."""
    source = _PACKAGED if _PACKAGED.is_dir() else repository()
    copied = {
        f"{folder}/{path.name}": path.read_text(encoding="utf-8")
        for folder, pattern in (("playbooks", "*.yaml"), ("inventory", "*.sample"))
        for path in sorted((source / folder).glob(pattern))
    }
    schemas = {
        f"schemas/{path.name}": path.read_text(encoding="utf-8")
        for path in sorted(schema_directory().glob("*.json"))
    }
    own = {".gitignore": _GITIGNORE, "README.md": _README, "tasks.py": _TASKS}
    return {**own, **copied, **schemas}


def write_starter(directory: Path) -> tuple[Path, ...]:
    """Write a new ops repository; return the files written.

    Raises:
        InvalidInput: a file is there already; then nothing is written.
    """
    targets = {directory / path: text for path, text in starter_texts().items()}
    if there := [str(path) for path in targets if path.exists()]:
        cause = f"{', '.join(there)} is there already; nothing was written"
        raise InvalidInput(cause, next_command="invoke init ANOTHER-DIRECTORY")
    for path, text in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tuple(targets)
