"""Backups of real WordPress sites come back: elsewhere, in part, and without opsplay."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.stories import bucket
from tests.stories.copies import look_at
from tests.stories.during import is_open, locks

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.timeout(200)]

README_TOOLS = "age zstd gzip tar mysql sha256sum awk sed"
RESTORE = """\
name: Bring one file back
sites: florist
stages:
  - name: Restore
    environment: production
    steps:
      - restore: {{paths: [{path}]}}
"""
SHELL_TOOLS = "sh find sort tail xargs cat grep mkdir"


@pytest.fixture
def backed_up(ops):
    """An ops repository after a backup of florist."""
    said = ops("run", "playbooks/backup.yaml", "--limit", "florist")
    assert said.exit_status == 0, said.text
    return ops


@pytest.mark.proof
def test_a_backup_comes_back_on_staging_as_a_safe_copy(backed_up):
    lab = backed_up.lab
    configuration = (lab.environment("florist", "staging").root / "wp-config.php").read_text()
    before = lab.fingerprint("florist", "production")

    restored = backed_up("restore", "florist", "--to", "staging", "--yes")

    assert restored.exit_status == 0, restored.text
    assert before.difference(lab.fingerprint("florist", "production")) == ()
    look_at(backed_up, "florist", configuration)
    assert is_open(backed_up, "florist", "staging")
    assert locks(backed_up, "web3") == []
    assert list(lab.places.home("web3").glob(".opsplay/restore/*")) == []


def test_a_damaged_backup_is_refused_by_name_and_the_site_is_as_it_was(backed_up):
    lab = backed_up.lab
    before = lab.fingerprint("florist", "production")
    stored = bucket.objects(lab)
    key = next(key for key in stored if "/pack/" in key)
    body = bytearray(stored[key])
    body[len(body) // 2] ^= 1
    bucket.replace(lab, key, bytes(body))

    refused = backed_up("restore", "florist", "--yes")

    assert refused.exit_status == 1, refused.text
    assert key in refused.text
    assert "nothing had been changed" in refused.text
    assert before.difference(lab.fingerprint("florist", "production")) == ()
    assert is_open(backed_up, "florist")
    assert locks(backed_up, "web2") == []
    assert list(lab.places.home("web2").glob(".opsplay/restore/*")) == []


def test_the_database_alone_comes_back_and_the_files_stay(backed_up):
    lab = backed_up.lab
    before = lab.fingerprint("florist", "production")
    lab.sql("florist", "production", "DELETE FROM wp_posts; CREATE TABLE wp_new (id int)")
    photo = lab.environment("florist", "production").root / "wp-content/uploads/new photo.txt"
    photo.write_text("uploaded after the backup")

    restored = backed_up("restore", "florist", "--include", "database", "--yes")

    assert restored.exit_status == 0, restored.text
    after = lab.fingerprint("florist", "production")
    assert before.difference(after) == ("wp-content/uploads/new photo.txt",)
    assert is_open(backed_up, "florist")


def test_a_single_file_comes_back_and_the_plan_says_what_it_takes(backed_up):
    lab = backed_up.lab
    before = lab.fingerprint("florist", "production")
    broken = (
        lab.environment("florist", "production").root / "wp-content/plugins/akismet/akismet.php"
    )
    broken.write_text("<?php // not ours")

    path = "wp-content/plugins/akismet/akismet.php"
    book = backed_up.write("restore.yaml", RESTORE.format(path=path))
    checked = backed_up("check", book)
    restored = backed_up("restore", "florist", "--path", path, "--yes")

    assert checked.exit_status == 4, checked.text
    assert "by the host's line" in checked.text
    assert restored.exit_status == 0, restored.text
    assert before.difference(lab.fingerprint("florist", "production")) == ()
    assert is_open(backed_up, "florist")
    kept = list(lab.places.home("web2").glob(f".opsplay/runs/*/florist-production/*/before/{path}"))
    assert [one.read_text() for one in kept] == ["<?php // not ours"]


def test_a_stranger_restores_the_site_with_the_readme_and_common_tools(backed_up, tmp_path):
    lab = backed_up.lab
    production = lab.fingerprint("florist", "production")
    place = tmp_path / "stranger"
    for key, body in bucket.objects(lab).items():
        (place / key).parent.mkdir(parents=True, exist_ok=True)
        (place / key).write_bytes(body)
    shutil.copy(lab.facts["lab_age_identity_file"], place / "key.txt")
    (place / "access.cnf").write_text(access(lab))
    (place / "access.cnf").chmod(0o600)
    manual = (place / "v1/florist/README.txt").read_text()
    script = re.search(r"^#--8<-- begin\n(.*?)^#-->8-- end", manual, re.MULTILINE | re.DOTALL)[1]
    (place / "restore.sh").write_text(script)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in f"{README_TOOLS} {SHELL_TOOLS}".split():
        (tools / name).symlink_to(shutil.which(name))
    for name in README_TOOLS.split():
        assert name in manual.split("\n\n")[0]

    done = subprocess.run(
        [tools / "sh", "restore.sh"],
        cwd=place,
        env={"PATH": str(tools), "DATABASE": lab.environment("florist", "staging").database},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert hashes(place / "restored") == dict(production.files)
    assert lab.fingerprint("florist", "staging").tables == production.tables


def access(lab) -> str:
    facts = lab.facts
    password = Path(facts["florist_staging_database_password_file"]).read_text().strip("\n")
    password = password.replace("\\", "\\\\").replace('"', '\\"')
    port = lab.places.port("database")
    user = facts["florist_staging_database"]
    return f'[client]\nhost=127.0.0.1\nport={port}\nuser={user}\npassword="{password}"\n'


def hashes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }
