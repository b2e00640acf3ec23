"""What must hold for every script that the WordPress driver writes, whatever it is about."""

import subprocess
import sys
from pathlib import Path

import pytest

from opsplay.cms.wordpress import WordPress
from opsplay.core.drivers import DatabaseAccess
from opsplay.core.environment import Environment, Host

_ODD = 'it\'s $(touch escaped) `touch escaped` "q" \\ ;|'


def scripts(root: str) -> dict[str, str]:
    here = Environment("staging", Host("local"), root, "http://shop.example")
    cms = WordPress(here)
    return {
        "facts": cms.facts().script,
        "update_core": cms.update_core("6.5.5", "http://127.0.0.1:9/a b.zip"),
        "update_module": cms.update_module("akismet", "5.7.2", _ODD),
        "update_theme": cms.update_module("theme:twentytwenty", "2.0", _ODD),
        "maintenance": cms.maintenance().script,
        "close_to_visitors": cms.close_to_visitors("0" * 64),
        "open_to_visitors": cms.open_to_visitors(),
        "save_restore_point": cms.save_restore_point(),
        "put_back": cms.put_back(),
        "put_back_core": cms.put_back_core(),
        "put_back_module": cms.put_back_module(_ODD),
        "dump_database": cms.dump_database(),
        "load_database": cms.load_database(),
        "pack_files": cms.pack_files([_ODD, "wp-content/cache/"]),
        "unpack_files": cms.unpack_files(),
        "unpack_and_keep": cms.unpack_files(keep_configuration=True),
        "make_clone_safe": cms.make_clone_safe(_ODD),
        "clone_marks": cms.clone_marks().script,
        "error_log": cms.error_log().script,
        "watermarks": cms.watermarks().script,
        "use_database": cms.use_database(DatabaseAccess(*[_ODD] * 6)),
        "clear_away": cms.clear_away(),
    }


SCRIPTS = scripts(f"/srv/{_ODD}")
CHECKED = {  # together they hold every part
    *("facts", "update_core", "update_module", "close_to_visitors", "put_back_module"),
    *("pack_files", "unpack_files", "make_clone_safe", "error_log"),
    "use_database",
}

_NOT_MEANT = [
    "SC2034",  # variables and functions are shared by all scripts; not each uses all
    "SC2015",  # A && B || fail: fail is meant for both
    "SC2317",  # functions that this script does not call
    "SC2329",
    "SC2016",  # PHP is carried in single quotes, dollar signs included
    "SC2154",  # and shellcheck loses track of assignments behind them
    "SC1003",  # odd file names of these very tests
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_posix_sh(name: str) -> None:
    checked = subprocess.run(
        ["dash", "-n"], input=SCRIPTS[name], text=True, capture_output=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    files = []
    for name in sorted(CHECKED):
        files.append(tmp_path / f"{name}.sh")
        files[-1].write_text(SCRIPTS[name])

    shellcheck = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run(
        [shellcheck, "--shell=sh", f"--exclude={','.join(_NOT_MEANT)}", "--format=gcc", *files],
        text=True,
        capture_output=True,
        check=False,
    )

    assert checked.stdout == ""


def test_a_root_with_shell_characters_runs_nothing(tmp_path: Path) -> None:
    for script in scripts(str(tmp_path / _ODD)).values():
        subprocess.run(
            ["sh", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OPSPLAY_RUN_DIR": str(tmp_path)},
            check=False,
            timeout=30,
            cwd=tmp_path,
        )

    assert not list(tmp_path.rglob("escaped"))
