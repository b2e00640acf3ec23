"""What stands below a root is listed alike by every host, whatever it has and whatever the names hold."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from tests.backup.shell_check import complaints
from tests.backup.userland import HOSTS, Userland

from opsplay.core.environment import Host
from opsplay.core.errors import StepFailed, UnreadableAnswer
from opsplay.engine import store_survey
from opsplay.engine.store_survey import hashes, read_hashes, read_survey, survey
from opsplay.transports.local import LocalTransport

HERE = LocalTransport(Host("local"))
ODD = (
    "line\nbreak.txt", "-rf", "éà 日本.txt", "with space ", "qu'ote\"$x.txt", "a/b/.hidden",
    "back\\slash", "back\\nslash", "tab\tand\rreturn", "*.php", "\udcff\udcfe", "end 0 find", "x81a4 1 1 1 1",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "it's a root"
    for name in ODD:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name!r}")
    (root / "empty").mkdir(mode=0o750)
    (root / "link").symlink_to("nowhere\n'odd\\ target ")
    (root / "loop").symlink_to(".")
    (root / "run.sh").write_text("x")
    (root / "run.sh").chmod(0o4755)
    for name in ("cache", "a/cache", "cache2", "skip-1", "a/skip-2"):
        (root / name).mkdir()
        (root / name / "thing.tmp").write_text("x")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("/proc/self/cwd/s") if len(str(root)) > 90 else one.bind(str(root / "socket"))
    return root


def expected(root: Path, *, without: tuple[str, ...] = ()) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in root.rglob("*"):
        name, seen = os.fsdecode(path.relative_to(root)), path.lstat()
        if any(name == one or name.startswith(f"{one}/") for one in without):
            continue
        kind = "link" if path.is_symlink() else "dir" if path.is_dir() else "other"
        kind = "file" if path.is_file() and kind == "other" else kind
        target = os.fsdecode(path.readlink()) if kind == "link" else ""
        size = seen.st_size if kind == "file" else 0
        mode = seen.st_mode & 0o7777
        found[name] = (kind, mode, size, seen.st_mtime_ns // 10**9, seen.st_ino, target)
    return found


def seen(found: store_survey.Survey) -> dict[str, tuple[object, ...]]:
    return {
        one.path: (one.kind, one.mode, one.size, one.mtime // 10**9, one.inode, one.target)
        for one in found.entries
    }


@pytest.mark.parametrize("host", HOSTS)
def test_every_name_is_listed_but_what_is_left_out(userland: Userland, root: Path, host: str):
    userland.become(host)
    patterns = "printf '%s\\n' ./cache './a/skip-*' './it is not there'"

    found = survey(HERE, str(root), patterns)

    assert seen(found) == expected(root, without=("cache", "a/skip-2"))
    assert [one.path for one in found.entries] == sorted(one.path for one in found.entries)
    assert found.how == userland.survey


@pytest.mark.parametrize("host", HOSTS)
def test_every_file_is_hashed_whatever_its_name(userland: Userland, root: Path, host: str):
    userland.become(host)
    paths = [*ODD, "gone", "run.sh"]

    found = hashes(HERE, str(root), paths)

    assert found == {
        name: hashlib.sha256((root / name).read_bytes()).hexdigest()
        for name in paths
        if name != "gone"
    }


def test_an_empty_root_has_no_entries(tmp_path: Path):
    assert survey(HERE, str(tmp_path), ":").entries == ()
    assert hashes(HERE, str(tmp_path), []) == {}


def test_times_are_known_to_the_nanosecond_where_find_knows_them(root: Path):
    found = {one.path: one for one in survey(HERE, str(root), ":").entries}

    assert found["run.sh"].mtime == (root / "run.sh").stat().st_mtime_ns
    assert found["run.sh"].ctime == (root / "run.sh").stat().st_ctime_ns


@pytest.mark.parametrize(
    ("root", "left_out", "says"),
    [("/nowhere/at all", ":", "nowhere"), ("/tmp", "exit 3", "left out could not be found")],
)
def test_a_root_that_cannot_be_listed_is_an_error(root: str, left_out: str, says: str):
    with pytest.raises(StepFailed, match=says):
        survey(HERE, root, left_out, "bakery")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_what_may_not_be_read_is_named(root: Path):
    (root / "secret").mkdir(mode=0o700)
    (root / "secret" / "in it").write_text("x")
    (root / "run.sh").chmod(0o600)
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.getuid() and folder.is_relative_to("/tmp"):
            folder.chmod(0o755)

    def as_nobody(script: str, stdin: bytes) -> bytes:
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]
        done = subprocess.run(words, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = read_survey(as_nobody(store_survey.survey_script(str(root), ":"), b""))
    paths = ["empty/../-rf", "run.sh", "back\\slash"]
    sums = read_hashes(
        paths, as_nobody(store_survey.hash_script(str(root)), store_survey.hash_input(paths))
    )

    assert found.unreadable == ("empty", "secret")
    assert "secret" in {one.path for one in found.entries}
    assert "secret/in it" not in {one.path for one in found.entries}
    assert set(sums) == {"back\\slash"}


def test_a_list_that_is_cut_short_is_not_taken_for_a_list(root: Path):
    channel = HERE.open(store_survey.survey_script(str(root), ":"))
    channel.send_eof()
    whole = b"".join(iter(channel.receive, b""))
    channel.close()

    for size in range(0, len(whole) - 1, 37):
        with pytest.raises((StepFailed, UnreadableAnswer)):
            read_survey(whole[:size])


class _Chatter(LocalTransport):
    def open(self, script: str):
        return super().open("exec yes")


def test_a_host_that_never_stops_talking_is_not_listened_to(root: Path, monkeypatch):
    monkeypatch.setattr(store_survey, "_LONGEST", 10_000)
    bomb = gzip.compress(bytes(1_000_000))

    with pytest.raises(UnreadableAnswer, match="more of its files than any site could have"):
        survey(_Chatter(Host("local")), str(root), ":")
    with pytest.raises(StepFailed, match="longer than any site's"):
        read_survey(bomb)


@pytest.mark.parametrize("tool", ["find", "gzip"])
def test_a_tool_that_dies_is_not_taken_for_an_empty_site(userland: Userland, root: Path, tool: str):
    userland.shim(
        tool,
        f'case $* in *maxdepth*) exit 0 ;; esac; {shutil.which(tool)} "$@" | head -c 99; kill -9 $$',
    )

    with pytest.raises((StepFailed, UnreadableAnswer)):
        survey(HERE, str(root), ":")


def test_the_scripts_are_plain_sh():
    scripts = (store_survey.survey_script("/it's", "echo x"), store_survey.hash_script("/it's"))

    assert [complaints(one) for one in scripts] == ["", ""]
