"""Signatures are OpenSSH's own: its program accepts ours, and we accept its."""

import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsplay.core.errors import InvalidInput
from opsplay.engine.signature import (
    NAMESPACE,
    PRINCIPAL,
    Signer,
    allowed_signers,
    keys_allowed,
    new_private_key,
    signed_by,
)

MESSAGE = b'{"site": "shop"}\n'
SIGNER = Signer.of(new_private_key())
STRANGER = Signer.of(new_private_key())


def ssh_keygen(*arguments, message=b""):
    return subprocess.run(
        ["ssh-keygen", *arguments], input=message, capture_output=True, check=False
    )


def verified_by_ssh(folder, message, signature):
    (folder / "allowed").write_text(allowed_signers([SIGNER.public]))
    (folder / "sig").write_bytes(signature)
    words = ("-f", folder / "allowed", "-I", PRINCIPAL, "-n", NAMESPACE, "-s", folder / "sig")
    return ssh_keygen("-Y", "verify", *words, message=message).returncode == 0


def test_ssh_keygen_accepts_our_signature_and_refuses_another_message(tmp_path):
    signature = SIGNER.sign(MESSAGE)

    assert verified_by_ssh(tmp_path, MESSAGE, signature)
    assert not verified_by_ssh(tmp_path, MESSAGE + b" ", signature)
    assert not verified_by_ssh(tmp_path, MESSAGE, STRANGER.sign(MESSAGE))


def test_a_signature_and_a_key_made_by_ssh_keygen_are_accepted(tmp_path):
    key, text = tmp_path / "signing", tmp_path / "message"
    text.write_bytes(MESSAGE)
    ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "the agency", "-f", key)
    ssh_keygen("-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, text)
    public = (tmp_path / "signing.pub").read_text()

    found = signed_by(MESSAGE, (tmp_path / "message.sig").read_bytes(), [public])

    assert found == Signer.of(key.read_text()).public
    assert public.startswith(found)


def test_a_signature_for_another_namespace_is_none(tmp_path):
    key, text = tmp_path / "signing", tmp_path / "message"
    text.write_bytes(MESSAGE)
    ssh_keygen("-q", "-t", "ed25519", "-N", "", "-f", key)
    ssh_keygen("-q", "-Y", "sign", "-f", key, "-n", "git", text)

    signature = (tmp_path / "message.sig").read_bytes()

    assert signed_by(MESSAGE, signature, [Signer.of(key.read_text()).public]) == ""


def test_only_a_trusted_key_counts():
    signature = SIGNER.sign(MESSAGE)

    assert signed_by(MESSAGE, signature, [STRANGER.public, SIGNER.public]) == SIGNER.public
    assert signed_by(MESSAGE, signature, [STRANGER.public]) == ""
    assert signed_by(MESSAGE, signature, []) == ""


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_of_the_signature_makes_it_none(place, change):
    lines = SIGNER.sign(MESSAGE).decode().splitlines()
    blob = bytearray(base64.b64decode("".join(lines[1:-1])))
    blob[place % len(blob)] ^= change
    changed = "\n".join([lines[0], base64.b64encode(blob).decode(), lines[-1]]).encode()

    # The reserved part is empty and not signed as such; nothing else is free.
    assert signed_by(MESSAGE, changed, [SIGNER.public]) == ""


@given(st.binary(max_size=300))
def test_garbage_is_no_signature(garbage):
    assert signed_by(MESSAGE, garbage, [SIGNER.public]) == ""


@pytest.mark.parametrize("cut", [0, 1, 10, 60, 200])
def test_a_cut_signature_is_none(cut):
    assert signed_by(MESSAGE, SIGNER.sign(MESSAGE)[:cut], [SIGNER.public]) == ""


def test_allowed_signers_name_the_keys_that_were_put_in():
    text = "# ours\n" + allowed_signers([SIGNER.public, STRANGER.public + " a comment"])

    assert keys_allowed(text) == (SIGNER.public, STRANGER.public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_key_is_said_to_be_none(text):
    with pytest.raises(InvalidInput, match="signing_key is not a readable OpenSSH private key"):
        Signer.of(text)


def test_another_kind_of_key_is_refused(tmp_path):
    ssh_keygen("-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "key")

    with pytest.raises(InvalidInput, match="is not an ed25519 key"):
        Signer.of((tmp_path / "key").read_text())


def test_a_signer_does_not_show_its_key():
    assert "PRIVATE" not in repr(SIGNER)
    assert "_key" not in repr(SIGNER)
