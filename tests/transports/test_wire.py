"""A script survives every login shell on its way."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.kit import shell
from opsplay.transports.wire import (
    REQUEST_LIMIT,
    WAITING,
    encode,
    pack,
    pack_for_waiting_shell,
)

SCRIPT = "printf '%s' \"it's\n\\back!\\0101 $((1 + 1)) é\"; read -r word; printf '|%s' \"$word\""
SHELLS = [name for name in ("sh", "bash", "dash", "zsh", "tcsh", "fish") if shutil.which(name)]


@pytest.mark.parametrize("login_shell", SHELLS)
@pytest.mark.parametrize("padding", ["", "\n# filler" * 10_000], ids=["request", "input"])
def test_a_script_passes_every_login_shell_unharmed(login_shell, padding):
    packed = pack(SCRIPT + padding)

    done = subprocess.run(
        [login_shell, "-c", encode(packed.request)],
        input=packed.head + b"its own input\n",
        capture_output=True,
        check=True,
    )

    assert done.stdout.decode() == "it's\n\\back!\\0101 2 é|its own input"


@given(st.text(st.characters(exclude_characters="\0")).filter(lambda text: text.isprintable()))
def test_a_request_is_one_line_without_anything_a_login_shell_could_expand(text):
    request = pack(f"a='{text}'\nb\\c!").request

    assert "\n" not in request
    assert "!" not in request


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_out_of_the_request_as_it_went_in(text):
    packed = pack("printf '%s' " + shell.quote(text + "|"))

    done = subprocess.run(["sh", "-c", encode(packed.request)], capture_output=True, check=True)

    assert done.stdout.decode() == text + "|"


def test_long_scripts_leave_the_request():
    assert not pack("x" * 1000).head
    assert len(pack("x" * REQUEST_LIMIT).request) < 200


def test_a_nul_byte_is_refused():
    for way in (pack, pack_for_waiting_shell):
        with pytest.raises(ValueError, match="NUL"):
            way("a\0b")


def test_bytes_that_were_no_utf8_go_back_as_they_came():
    assert encode(b"na\xefve".decode("utf-8", "surrogateescape")) == b"na\xefve"


@pytest.mark.parametrize("sent", [0, 1, 20, -1])
def test_a_script_that_was_cut_off_on_its_way_is_not_run(sent):
    script = pack_for_waiting_shell("echo never; echo sent in part")

    done = subprocess.run(
        ["sh", "-c", WAITING], input=script[:sent], capture_output=True, check=False
    )

    assert (done.returncode, done.stdout) == (1, b"")


def test_a_waiting_shell_runs_its_script_and_leaves_the_rest_of_the_input_to_it():
    script = pack_for_waiting_shell("echo 'got it:'; cat")

    done = subprocess.run(
        ["sh", "-c", WAITING], input=script + b"its own\n\0input", capture_output=True, check=True
    )

    assert done.stdout == b"got it:\nits own\n\0input"
