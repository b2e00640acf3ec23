"""A command that lives for a second leaves out what it does not need, and nothing that matters."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ENDING = "import sys, atexit, threading, time; from opsplay.cli import lean; {}; lean.leave({})"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def test_what_was_printed_arrives_and_the_status_counts():
    ended = run(ENDING.format("print('x' * 100_000); print('told', file=sys.stderr)", 3))

    assert (ended.returncode, len(ended.stdout), ended.stderr) == (3, 100_001, "told\n")


def test_what_others_asked_to_be_done_at_the_end_is_done():
    ended = run(ENDING.format("atexit.register(lambda: print('done', flush=True))", 0))

    assert ended.stdout == "done\n"


def test_who_is_still_at_work_is_waited_for():
    late = "lambda: (time.sleep(0.3), print('worked'))"

    ended = run(ENDING.format(f"threading.Thread(target={late}).start()", 0))

    assert ended.stdout == "worked\n"


@pytest.mark.parametrize("status", ["'broken'", "None"])
def test_an_end_without_a_number_is_left_to_python(status: str):
    assert run(ENDING.format("pass", status) + "; print('here')").stdout == "here\n"


def test_a_reader_that_has_gone_is_left_to_python():
    reading, writing = os.pipe()
    os.close(reading)
    code = ENDING.format("print('x')", 0) + "; print('here', file=sys.stderr)"

    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False,
        timeout=60, env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    os.close(writing)

    assert b"here" in ended.stderr


def test_a_run_imports_no_mocks_and_no_second_yaml_reader():
    code = (
        "import sys; from opsplay.cli import lean; lean.import_invoke(); lean.import_invoke();"
        "print(sorted({'asyncio', 'unittest', 'unittest.mock', 'invoke.vendor.yaml.reader'}"
        " & sys.modules.keys()))"
    )

    assert run(code).stdout == "[]\n"


def test_mocks_of_invoke_work_all_the_same():
    code = (
        "from opsplay.cli import lean; lean.import_invoke(); import invoke;"
        "one = invoke.MockContext(run=invoke.Result('told')); from unittest.mock import Mock;"
        "print(one.run('x').stdout, isinstance(one.run, Mock), one.run.call_count)"
    )

    assert run(code).stdout == "told True 1\n"


def test_invoke_that_is_there_already_stays_as_it_is():
    code = (
        "import invoke, unittest.mock; known = unittest.mock.Mock; from opsplay.cli import lean;"
        "lean.import_invoke(); import unittest.mock as now; print(now.Mock is known)"
    )

    assert run(code).stdout == "True\n"
