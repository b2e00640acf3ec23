"""The step `file` by its own scripts: what is seen, what is kept, what comes back."""

import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.steps.test_steps import asked, at

from opsplay.core.action import Shell, to_data
from opsplay.core.change import Change
from opsplay.core.errors import UnreadableAnswer
from opsplay.engine.acts import write_script
from opsplay.steps.file import File, SeenFile


def planned(root: Path, path: str, content: str, mode: str = "644") -> Change:
    step = File(path=path, content=content, mode=mode)
    (change,) = step.plan(at(root), asked(step.probe(at(root))))
    return change


def run(script: str, room: Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.environ["PATH"], "OPSPLAY_RUN_DIR": str(room)},
        capture_output=True,
        text=True,
        check=False,
        umask=umask,
    )


def do(change: Change, room: Path) -> None:
    done = run(write_script(change.do), room)
    assert done.returncode == 0, done.stderr


def undo(change: Change, room: Path) -> None:
    assert isinstance(change.undo, Shell)
    done = run(change.undo.script, room)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Return what stands for `$OPSPLAY_RUN_DIR`."""
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path / "run"


def test_a_file_is_seen_as_it_is_with_odd_names_and_bytes(tmp_path: Path):
    path = tmp_path / "it's odd.txt"
    step = File(path="it's odd.txt", content="x")
    assert asked(step.probe(at(tmp_path))) == SeenFile()

    content = "é\n\n".encode() + b"\xff\x00"
    path.write_bytes(content)
    path.chmod(0o640)

    sha256 = hashlib.sha256(content).hexdigest()
    assert asked(step.probe(at(tmp_path))) == SeenFile(sha256, 6, 0o640, content)


def test_an_empty_file_is_not_an_absent_one(tmp_path: Path):
    (tmp_path / "empty").touch(mode=0o644)
    step = File(path="empty", content="")

    assert list(step.plan(at(tmp_path), asked(step.probe(at(tmp_path))))) == []


def test_a_directory_is_refused(tmp_path: Path):
    with pytest.raises(UnreadableAnswer, match="it is a directory"):
        asked(File(path=str(tmp_path), content="").probe(at(tmp_path)))


@pytest.mark.parametrize("name", [".env", "app/.env.local", "wp-config.php", "parameters.yml"])
def test_the_text_of_a_file_with_secrets_never_leaves_the_host(tmp_path: Path, name: str):
    (tmp_path / "app").mkdir()
    (tmp_path / name).write_text("PASSWORD=s3cret\n")
    step = File(path=name, content="PASSWORD=another\n")

    seen = asked(step.probe(at(tmp_path)))
    (change,) = step.plan(at(tmp_path), seen)

    assert seen.text == b""
    assert change.difference == ""
    assert "s3cret" not in repr((change, to_data(change.undo)))


def test_old_text_is_in_the_difference_alone(tmp_path: Path):
    (tmp_path / "robots.txt").write_text("old words\n")

    change = planned(tmp_path, "robots.txt", "new words\n")

    assert "-old words\n+new words" in change.difference
    assert "old words" not in repr((replace(change, difference=""), to_data(change.undo)))


def test_no_difference_is_shown_of_what_is_no_text_or_very_large(tmp_path: Path):
    (tmp_path / "logo").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(b"x" * 1_000_001)

    assert planned(tmp_path, "logo", "x").difference == ""
    assert planned(tmp_path, "huge", "x").difference == ""


def test_a_long_difference_is_cut_at_200_lines(tmp_path: Path):
    difference = planned(tmp_path, "list", "line\n" * 1000).difference

    assert len(difference.splitlines()) == 200
    assert difference.endswith("… and 804 more lines")


def test_the_old_file_comes_back_byte_by_byte_with_its_mode(tmp_path: Path, room: Path):
    path = tmp_path / "it's odd"
    path.write_bytes(b"old\xff\x00")
    path.chmod(0o640)
    change = planned(tmp_path, "it's odd", "new", "600")
    do(change, room)
    do(change, room)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert (room / "before").stat().st_mode & 0o777 == 0o700

    undo(change, room)
    undo(change, room)

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"old\xff\x00", 0o640)


def test_a_file_that_was_absent_is_absent_again(tmp_path: Path, room: Path):
    change = planned(tmp_path, "new/file", "new")
    do(change, room)
    do(change, room)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755

    undo(change, room)
    undo(change, room)

    assert not (tmp_path / "new/file").exists()


def test_a_link_comes_back_as_a_link(tmp_path: Path, room: Path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    change = planned(tmp_path, "link", "new")
    do(change, room)
    assert (tmp_path / "target").read_text() == "old"

    undo(change, room)

    assert (tmp_path / "link").readlink() == Path("target")


def test_two_changes_of_one_file_in_a_run_go_back_one_by_one(tmp_path: Path, room: Path):
    path = tmp_path / "file"
    path.write_text("first")
    one = planned(tmp_path, "file", "second")
    do(one, room)
    two = planned(tmp_path, "file", "third")
    do(two, room)

    undo(two, room)
    assert path.read_text() == "second"
    undo(one, room)

    assert path.read_text() == "first"


def test_what_was_there_at_the_last_moment_comes_back(tmp_path: Path, room: Path):
    change = planned(tmp_path, "file", "new")
    (tmp_path / "file").write_text("written since it was looked at")
    do(change, room)

    undo(change, room)

    assert (tmp_path / "file").read_text() == "written since it was looked at"


def test_a_write_that_never_happened_is_not_undone(tmp_path: Path, room: Path):
    (tmp_path / "file").write_text("old")
    change = planned(tmp_path, "file", "new")

    undo(change, room)

    assert (tmp_path / "file").read_text() == "old"


def test_a_way_back_that_is_gone_is_an_error(tmp_path: Path, room: Path):
    change = planned(tmp_path, "file", "new")
    do(change, room)
    for kept in (room / "before").iterdir():
        kept.unlink()

    answer = run(change.undo.script, room)

    assert answer.returncode == 1
    assert "is not kept any more" in answer.stderr
    assert (tmp_path / "file").read_text() == "new"


def test_nothing_is_overwritten_that_cannot_be_kept(tmp_path: Path, room: Path):
    (tmp_path / "file").write_text("old")
    change = planned(tmp_path, "file", "new")
    full = write_script(change.do).replace('cp -pP "$f" "$kept.new"', "false")

    answer = run(full, room)

    assert answer.returncode == 1
    assert "could not be kept; nothing was changed" in answer.stderr
    assert (tmp_path / "file").read_text() == "old"
