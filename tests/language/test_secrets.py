"""Secret references: fetched late, shown never."""

from __future__ import annotations

import pytest

from opsplay.core.errors import InvalidInput
from opsplay.language import secret, secrets

CANARY = "canary-5f3a"


def test_an_environment_variable_is_read_when_it_is_needed(monkeypatch):
    reference = secret("env:OPSPLAY_TEST_SECRET")
    monkeypatch.setenv("OPSPLAY_TEST_SECRET", CANARY)

    assert reference.reveal() == CANARY
    assert CANARY not in f"{reference} {reference!r}"


def test_a_file_is_read_below_the_repository(tmp_path):
    (tmp_path / "key").write_text(f"{CANARY}\n")
    (tmp_path / "key").chmod(0o640)

    assert secret("file:key", tmp_path).reveal() == CANARY


def test_a_file_that_everybody_may_read_is_refused(tmp_path):
    (tmp_path / "key").write_text(CANARY)
    (tmp_path / "key").chmod(0o644)

    with pytest.raises(InvalidInput, match="chmod 600") as caught:
        secret("file:key", tmp_path).reveal()

    assert CANARY not in str(caught.value)


def test_a_command_gives_its_first_line(tmp_path):
    (tmp_path / "here").touch()

    assert secret(f"command:ls; echo {CANARY}", tmp_path).reveal() == "here"


def test_a_command_that_fails_keeps_its_words_to_itself():
    reference = secret("command:echo canary-5f''3a >&2; echo canary-5f''3a; exit 3")

    with pytest.raises(InvalidInput, match="status 3") as caught:
        reference.reveal()

    assert CANARY not in str(caught.value)


def test_a_command_that_hangs_is_left_behind(monkeypatch):
    monkeypatch.setattr(secrets, "COMMAND_SECONDS", 0.2)

    with pytest.raises(InvalidInput, match="no answer within"):
        secret("command:sleep 5; echo late").reveal()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:OPSPLAY_NOT_SET", "export OPSPLAY_NOT_SET"),
        ("file:nowhere/key", "no such file"),
        ("command:true", "it is empty"),
    ],
)
def test_a_secret_that_cannot_be_had_is_named_with_a_way_out(tmp_path, reference, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        secret(reference, tmp_path).reveal()

    assert reference in str(caught.value)


def test_a_file_of_bytes_is_no_secret(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "key").chmod(0o600)

    with pytest.raises(InvalidInput, match="not a text"):
        secret("file:key", tmp_path).reveal()


def test_a_command_needs_its_repository(tmp_path):
    with pytest.raises(InvalidInput, match="no such file"):
        secret("command:echo x", tmp_path / "gone").reveal()


@pytest.mark.parametrize("reference", ["hunter2", "vault:hunter2", "env:", ""])
def test_an_unknown_scheme_is_refused_without_repeating_it(reference):
    with pytest.raises(InvalidInput, match="must begin with env:") as caught:
        secret(reference)

    assert "hunter2" not in str(caught.value)
