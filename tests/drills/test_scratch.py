"""A scratch environment: there for a while, walled in, and gone without a trace."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import httpx
import pytest

from opsplay.lab import listening, scratch_servers
from opsplay.lab import scratch as lab_scratch
from opsplay.lab.scratch import clear_left_behind, scratch
from opsplay.lab.scratch_walls import alone

pytestmark = pytest.mark.real

_TELLER = """<?php
$tell = function ($ask) { try { return (bool) @$ask(); } catch (Error $none) { return false; } };
echo json_encode([
    'database' => $tell(fn () => new mysqli('localhost', 'scratch', '%s', 'scratch', 0, '%s')),
    'own file' => $tell(fn () => file_get_contents(__FILE__)),
    'foreign file' => $tell(fn () => file_get_contents('/etc/passwd')),
    'program' => $tell(fn () => exec('true') !== false),
    'mail' => $tell(fn () => mail('nobody@example.invalid', 'x', 'x')),
    'network' => $tell(fn () => fsockopen('127.0.0.1', %d, $code, $why, 1)),
]);
"""


@pytest.fixture(scope="module")
def stack():
    with scratch("bakery", lambda: None) as made:
        yield made


def told(stack, way: str) -> dict[str, bool]:
    _, _, password, host = stack.access
    port = int(stack.environment.url.rpartition(":")[2])
    page = Path(stack.environment.root) / "teller.php"
    page.write_text(_TELLER % (password, host.partition(":")[2], port))
    if way == "page":
        return httpx.get(f"{stack.environment.url}/teller.php", timeout=20).json()
    return json.loads(stack.transport.run("php htdocs/teller.php").stdout)


@pytest.mark.parametrize("way", ["page", "script"])
def test_what_is_restored_reaches_its_database_and_nothing_else(stack, way):
    reached = told(stack, way)

    assert reached == {
        "database": True,
        "own file": True,
        "foreign file": False,
        "program": False,
        "mail": False,
        "network": not alone(),
    }


def test_a_dump_can_start_no_program(stack, tmp_path):
    name, user, password, host = stack.access
    access = f"[client]\nuser={user}\npassword={password}\nsocket={host.partition(':')[2]}\n"
    (stack.directory / "home" / "access.cnf").write_text(access)
    mark = tmp_path / "mark"

    stack.transport.run(
        f"mariadb --defaults-file=access.cnf {name}", stdin=f"\\! touch {mark}\n".encode()
    )
    good = stack.transport.run(
        f"mariadb --defaults-file=access.cnf -N {name}", stdin=b"SELECT 'fine';\n"
    )

    assert not mark.exists()
    assert good.stdout == "fine\n"


def test_who_loses_the_race_for_a_port_tries_another(stack, tmp_path, monkeypatch):
    """Between the look whether a port is free and the web server's bind, anybody may take it."""
    lost = int(stack.environment.url.rpartition(":")[2])
    won = next(port for port in scratch_servers._PORTS if listening.free(port))
    answers = iter([True])
    monkeypatch.setattr("random.sample", lambda *_: [lost, won])
    monkeypatch.setattr(scratch_servers, "free", lambda port: next(answers, listening.free(port)))
    for name in ("web", "logs", "tmp"):
        (tmp_path / name).mkdir()

    try:
        port = scratch_servers._listening(tmp_path, tmp_path)

        assert port == won
        assert listening.answers(won)
    finally:
        lab_scratch.destroy(tmp_path)


def test_two_at_once_do_not_meet_and_leave_nothing(stack):
    with scratch("florist", lambda: None) as other:
        assert other.environment.url != stack.environment.url
        assert clear_left_behind() == ()
        assert stack.directory.exists()
        place = other.directory

    assert not place.exists()
    assert stack.directory.exists()


def test_what_a_dead_process_left_is_cleared_away(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, living = tmp_path / "opsplay-drill-dead", tmp_path / "opsplay-drill-living"
    for place, started in ((left, 1), (living, lab_scratch.started_at(1))):
        place.mkdir()
        (place / "owner.json").write_text(json.dumps({"pid": 1, "started": started}))

    assert clear_left_behind() == (left,)
    assert living.exists()
