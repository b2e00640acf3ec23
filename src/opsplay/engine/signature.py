"""Signatures that `ssh-keygen -Y verify` understands: who sealed a backup, provable by anybody.

The form is OpenSSH's own (PROTOCOL.sshsig): the message is hashed with SHA-512, an ed25519 key
signs the hash together with a namespace, so that a signature made for something else is none here.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from opsplay.core.errors import InvalidInput

NAMESPACE = "opsplay"
PRINCIPAL = "opsplay"
SUFFIX = ".sig"
"""Added to an object's key: where its signature lies."""

_MAGIC = b"SSHSIG"
_KIND = b"ssh-ed25519"
_HASH = b"sha512"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_WIDTH = 70


@dataclass(frozen=True)
class Signer:
    """Signs in the name of one controller or agency."""

    public: str
    """The public key as OpenSSH writes it: `ssh-ed25519 AAAA…`."""
    _key: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def of(cls, private_key: str, what: str = "signing_key") -> Self:
        """Return the signer of an OpenSSH private key without a passphrase. Raises InvalidInput."""
        try:
            key = load_ssh_private_key(private_key.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"{what} is not a readable OpenSSH private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidInput(f"{what} is not an ed25519 key", next_command=MAKE_A_KEY)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return cls(public.decode(), key)

    def sign(self, message: bytes) -> bytes:
        """Return the armoured signature."""
        made = self._key.sign(_signed(message))
        public = load_ssh_public_key(self.public.encode())
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        parts = (_pack(_KIND, raw), NAMESPACE.encode(), b"", _HASH, _pack(_KIND, made))
        blob = base64.b64encode(_MAGIC + struct.pack(">I", 1) + _pack(*parts)).decode()
        lines = [blob[start : start + _WIDTH] for start in range(0, len(blob), _WIDTH)]
        return "\n".join([_BEGIN, *lines, _END, ""]).encode()


MAKE_A_KEY = "ssh-keygen -t ed25519 -N '' -f signing"


def new_private_key() -> str:
    """Return a new ed25519 private key as OpenSSH writes it, without a passphrase."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def signed_by(message: bytes, signature: bytes, trusted: Iterable[str]) -> str:
    """Return the trusted public key that signed the message; empty: none of them did.

    A signature that is cut, of another form, for another namespace or by a stranger is none.
    """
    try:
        raw, made = _read(signature)
        public = Ed25519PublicKey.from_public_bytes(raw)
        public.verify(made, _signed(message))
    except (ValueError, InvalidSignature, struct.error):
        return ""
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return line if line in {_bare(one) for one in trusted} else ""


def allowed_signers(keys: Iterable[str]) -> str:
    """Return the lines that `ssh-keygen -Y verify -f` reads, one a public key."""
    lines = [f'{PRINCIPAL} namespaces="{NAMESPACE}" {_bare(key)}\n' for key in keys]
    return "".join(lines)


def keys_allowed(text: str) -> tuple[str, ...]:
    """Return the ed25519 public keys that a file of allowed signers names."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(_bare(line) for line in lines if _KIND.decode() in line)


def _bare(line: str) -> str:
    """Return kind and key of a public key's line, without what stands around them."""
    words = line.split()
    kind = words.index(_KIND.decode()) if _KIND.decode() in words else 0
    return " ".join(words[kind : kind + 2])


def _signed(message: bytes) -> bytes:
    digest = hashlib.sha512(message).digest()
    return _MAGIC + _pack(NAMESPACE.encode(), b"", _HASH, digest)


def _pack(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _unpack(blob: bytes, count: int) -> list[bytes]:
    parts = []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", blob)
        if length > len(blob) - 4:
            raise ValueError(length)
        parts.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    if blob:
        raise ValueError(len(blob))
    return parts


def _read(signature: bytes) -> tuple[bytes, bytes]:
    """Return public key and signature, both raw. Raises ValueError, struct.error."""
    lines = signature.decode("ascii").strip().splitlines()
    if len(lines) < 3 or (lines[0], lines[-1]) != (_BEGIN, _END):  # noqa: PLR2004 - two marks
        raise ValueError(len(lines))
    blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    if blob[: len(_MAGIC) + 4] != _MAGIC + struct.pack(">I", 1):
        raise ValueError(blob[:10])
    public, namespace, _reserved, algorithm, made = _unpack(blob[len(_MAGIC) + 4 :], 5)
    (kind, raw), (made_kind, made_raw) = _unpack(public, 2), _unpack(made, 2)
    if (namespace, algorithm, kind, made_kind) != (NAMESPACE.encode(), _HASH, _KIND, _KIND):
        raise ValueError(namespace)
    return raw, made_raw
