"""The engine's own scripts, run by real shells: files arrive as they are, pipes fail as a whole."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.core.action import Write
from opsplay.core.environment import Environment, Host
from opsplay.core.site import Site
from opsplay.engine.acts import write_script
from opsplay.engine.clone import _packed, _pipe, _unpacked, local_script
from opsplay.kit.shell import quote

pytestmark = pytest.mark.real

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
SHELLS = (["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"])


def written(path, text, mode=0o644, before=""):
    """Run the script that writes a text, as a job runs it."""
    script = write_script(Write(str(path), text, mode))
    return sh(
        f"{before} OPSPLAY_RUN_DIR={quote(str(path.parents[1] / 'run'))}; export OPSPLAY_RUN_DIR\n{script}"
    )


def sh(script, shell=("dash",), stdin=b""):
    return subprocess.run(
        [*shell, "-c", script], input=stdin, capture_output=True, check=False, timeout=20
    )


@settings(max_examples=25, deadline=None)
@given(text=TEXTS, end=st.sampled_from(["", "\n", "\n\n", "'", "\\", "\r\n", "\\n"]))
def test_a_text_arrives_as_it_is(tmp_path_factory, text, end):
    path = tmp_path_factory.mktemp("write") / "it's a new folder" / "$(touch x) *.txt"

    done = written(path, text + end, 0o640)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert path.read_bytes() == (text + end).encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_new_directory_is_open_to_visitors_whatever_the_umask(tmp_path):
    written(tmp_path / "new/robots.txt", "x", before="umask 077;")

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755


def test_a_file_that_cannot_be_written_is_a_failure_and_leaves_the_old_one(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "folder").mkdir()

    assert written(tmp_path / "old/below", "x").returncode != 0
    assert written(tmp_path / "old", "x" * 9999, before="ulimit -f 0;").returncode != 0
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    ("producer", "consumer", "good"),
    [
        ("echo whole", "cat > got", True),
        ("echo half; exit 3", "cat > got", False),
        ("echo half; false", "cat > got", False),
        ("echo half; kill -9 $(sh -c 'echo $PPID')", "cat > got", False),
        ("echo whole", "cat > got; exit 4", False),
        ("echo whole", "cat > nowhere/got", False),
        ("exit 3", "exit 4", False),
        ("nobody-has-this-command", "cat > got", False),
        ("head -c 300000 /dev/zero", "cat > got", True),
        ("head -c 300000 /dev/zero", "exit 0", False),
        ("echo whole; exit 0", "read x; exit 0", True),
        ("trap 'exit 5' EXIT; echo half", "cat > got", False),
    ],
)
def test_a_pipe_goes_well_only_if_both_sides_do(tmp_path, shell, producer, consumer, good):
    done = sh(f"cd {tmp_path}; set -u; {_pipe(producer, consumer)}\ntouch end", shell)

    assert (done.returncode == 0) == (tmp_path / "end").exists() == good, done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_copy_between_hosts_is_cut_short_only_with_a_failure(tmp_path, shell):
    good = sh(_packed("echo whole"), shell)
    bad = sh(_packed("echo half; exit 3"), shell)

    assert (good.returncode, bad.returncode) == (0, 1)
    take = f"cd {tmp_path}; {_unpacked('cat > got')}"
    assert sh(take, shell, good.stdout).returncode == 0
    assert (tmp_path / "got").read_text() == "whole\n"
    assert sh(take, shell, good.stdout[:-6]).returncode != 0
    assert (
        sh(f"cd {tmp_path}; {_unpacked('cat > got; exit 2')}", shell, good.stdout).returncode != 0
    )


@pytest.mark.parametrize("broken", ["", "schema"])
def test_a_copy_on_one_host_brings_files_and_database(tmp_path, broken):
    places = {
        name: Environment(name, Host("local"), str(tmp_path / name), f"http://{name}.example")
        for name in ("production", "staging")
    }
    site = Site("bakery", "paper-test-cms", places)
    source = tmp_path / "production"
    source.mkdir()
    (source / "version").write_text("2.0\n")
    (source / "schema").write_text("2.0\n")
    if broken:
        (source / broken).unlink()

    done = sh(local_script(site, site.at("staging")))

    assert (done.returncode == 0) == (not broken), done.stderr
    if not broken:
        assert (tmp_path / "staging/schema").read_text() == "2.0\n"
    else:
        assert b"sending side ended with" in done.stderr
