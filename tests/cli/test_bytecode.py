"""Python may keep what it compiled, also where an installer compiled nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "import sys; from opsplay.cli import main; main(['check', 'nothing.yaml'])"


@pytest.mark.parametrize(("forbidden", "kept"), [("", True), ("1", False)])
def test_what_a_verb_imports_is_compiled_once(tmp_path: Path, forbidden: str, kept: bool) -> None:
    variables = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "kept")}
    variables["PYTHONDONTWRITEBYTECODE"] = forbidden
    (tmp_path / "nothing.yaml").write_text("name: x\n")

    subprocess.run([sys.executable, "-c", MAIN], cwd=tmp_path, env=variables, capture_output=True, check=False)  # fmt: skip

    # Imported when the verb is at work, long after Invoke has forbidden it.
    assert bool([*tmp_path.rglob("opsplay/language/playbook.*.pyc")]) is kept
