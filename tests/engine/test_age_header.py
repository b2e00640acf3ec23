"""One more key for a body that is already stored: the age header is read, opened and written anew."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyrage
import pytest

from opsplay.core.errors import UnreadableAnswer, VaultRefused
from opsplay.engine.age_header import MOST, file_key, header_for, read_header

OURS, CLIENTS, MADE = (pyrage.x25519.Identity.generate() for _ in range(3))
BODY = os.urandom(200_000)
PHP = Path(__file__).parents[2] / "src/opsplay/engine/host/restore_twin.php"


def by_pyrage() -> bytes:
    return pyrage.encrypt(BODY, [CLIENTS.to_public(), OURS.to_public()])


def by_age() -> bytes:
    words = ["age", "-r", str(CLIENTS.to_public()), "-r", str(OURS.to_public())]
    return subprocess.run(words, input=BODY, capture_output=True, check=True).stdout


def reopened(stored: bytes) -> bytes:
    header = read_header(stored[:MOST], "x")
    key = file_key(header, [str(OURS)], "x")
    return header_for(key, str(MADE.to_public())) + stored[header.length :]


@pytest.mark.parametrize("maker", [by_pyrage, by_age])
def test_a_body_opens_with_the_identity_made_for_it(maker):
    again = reopened(maker())

    assert pyrage.decrypt(again, [MADE]) == BODY
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(again, [OURS])


def test_age_and_php_on_a_host_open_it_as_well(tmp_path: Path):
    again = reopened(by_pyrage())
    (tmp_path / "identity").write_text(f"{MADE}\n")

    for words in (["age", "-d", "-i"], ["php", str(PHP), "decrypt"]):
        done = subprocess.run(
            [*words, tmp_path / "identity"], input=again, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, BODY), done.stderr


@pytest.mark.parametrize("place", [25, 60, -100, -1])
def test_php_refuses_what_was_tampered_with(tmp_path: Path, place: int):
    again = bytearray(reopened(by_pyrage()))
    again[place] = ord("A") if again[place] != ord("A") else ord("B")
    (tmp_path / "identity").write_text(f"{MADE}\n")

    words = ["php", str(PHP), "decrypt", tmp_path / "identity"]
    done = subprocess.run(words, input=bytes(again), capture_output=True, check=False)

    assert done.returncode != 0


def test_php_refuses_what_was_cut_off(tmp_path: Path):
    again = reopened(by_pyrage())
    (tmp_path / "identity").write_text(f"{MADE}\n")

    words = ["php", str(PHP), "decrypt", tmp_path / "identity"]
    done = subprocess.run(
        words, input=again[: -(200_000 % 65536) - 16], capture_output=True, check=False
    )

    assert done.returncode != 0


def test_a_key_that_does_not_fit_is_refused_by_name():
    header = read_header(by_pyrage(), "v1/shop/x")

    with pytest.raises(VaultRefused, match="v1/shop/x cannot be decrypted: no identity"):
        file_key(header, [str(MADE)], "v1/shop/x")


def test_a_header_that_was_tampered_with_is_refused():
    stored = by_pyrage()
    line = next(one for one in stored.split(b"\n") if one.startswith(b"---"))
    forged = stored.replace(line, b"--- " + b"A" * 43)

    with pytest.raises(VaultRefused, match="tampered with"):
        file_key(read_header(forged, "x"), [str(OURS)], "x")


@pytest.mark.parametrize(
    "start",
    [b"", b"age-encryption.org/v1\n", b"something else", by_pyrage()[:90]],
    ids=["nothing", "a first line", "something else", "half a header"],
)
def test_what_is_no_age_file_is_no_header(start: bytes):
    with pytest.raises(UnreadableAnswer, match="x does not begin as an age file"):
        read_header(start, "x")


@pytest.mark.parametrize(
    "text",
    ["AGE-SECRET-KEY-1", "age1qqqq", str(OURS)[:-1] + ("Q" if str(OURS)[-1] == "P" else "P")],
    ids=["empty", "a recipient", "a wrong last letter"],
)
def test_what_is_no_key_is_refused(text: str):
    with pytest.raises(ValueError, match=r"no key that begins with|substring not found"):
        file_key(read_header(by_pyrage(), "x"), [text], "x")
