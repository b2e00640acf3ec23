"""Tools that live for a moment only die at each of their starts: what they did not do never passes for done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.backup.deaths import Starts
from tests.backup.hosting import Hosting, pack

from opsplay.core.environment import Host
from opsplay.core.errors import OpsplayError
from opsplay.engine.store_survey import hashes
from opsplay.transports.local import LocalTransport

pytestmark = [pytest.mark.real, pytest.mark.proof]
NAMES = ("a.txt", "b.txt", "c.txt")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    for name in NAMES:
        (tmp_path / "root" / name).write_text(name)
    return tmp_path / "root"


def survivors(act: Callable[[], object], tool: str, folder: Path) -> Iterator[object]:
    """Yield what `act` returns for each death of the tool that it does not refuse."""
    starts = Starts(folder)
    starts.arm(tool)
    act()
    deaths = starts.deaths()
    assert deaths
    for death in deaths:
        starts.arm(tool, death=death)
        with suppress(OpsplayError):
            yield act()
        assert starts.killed, f"{death} did not come"


@pytest.mark.parametrize("tool", ["gzip", "sed", "tr", "wc"])
def test_a_pack_is_whole_or_there_is_none(root: Path, tmp_path: Path, tool: str):
    def act() -> object:
        hosting = Hosting()
        (saved,) = hosting.save(pack(root, *NAMES))
        return hosting.members(saved), hosting.lost

    for found in survivors(act, tool, tmp_path / "tools"):
        assert found == (set(NAMES), {})


@pytest.mark.parametrize("tool", ["gzip", "openssl", "xargs"])
def test_all_files_are_hashed_or_none(root: Path, tmp_path: Path, tool: str):
    local = LocalTransport(Host("local"))

    for found in survivors(lambda: set(hashes(local, str(root), NAMES)), tool, tmp_path / "tools"):
        assert found == set(NAMES)
