"""The header of an age file, so that one more key can open a body that is already stored.

An age file is a short header and a body. The header holds the body's key, wrapped once for each
recipient (age-encryption.org/v1). Whoever can unwrap it can write another header for the same body:
a host then decrypts with a key made for one restore, and never sees the real one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from opsplay.core.errors import UnreadableAnswer, VaultRefused

MOST = 16384
"""Bytes from the start of a file that hold its header; one recipient takes about 100."""

_FIRST = b"age-encryption.org/v1\n"
_STANZA = re.compile(rb"-> ([!-~ ]+)\n((?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)")
_LAST = re.compile(rb"--- ([A-Za-z0-9+/]{43})\n")
_NO_NONCE = bytes(12)
"""A wrapping key is used once, so age's nonce for it is zero."""
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_SECRET_PREFIX, _PUBLIC_PREFIX = "age-secret-key-", "age"


@dataclass(frozen=True)
class Header:
    """What stands before the body."""

    stanzas: tuple[tuple[tuple[str, ...], bytes], ...]
    """Words and body of each recipient's part."""
    mac: bytes
    proved: bytes
    """The bytes that the MAC covers."""
    length: int
    """Bytes of the header; the body begins behind them."""


def read_header(start: bytes, where: str) -> Header:
    """Return the header at the start of an age file.

    Raises:
        UnreadableAnswer: these are not the first bytes of an age file; `where` is named.
    """
    position, stanzas = len(_FIRST), []
    while start.startswith(_FIRST) and (found := _STANZA.match(start, position)):
        words = tuple(found[1].decode().split(" "))
        stanzas.append((words, _unpadded(found[2].replace(b"\n", b""))))
        position = found.end()
    last = _LAST.match(start, position)
    if not stanzas or not last:
        raise UnreadableAnswer(f"{where} does not begin as an age file does")
    proved = start[: position + len(b"---")]
    return Header(tuple(stanzas), _unpadded(last[1]), proved, last.end())


def file_key(header: Header, identities: Iterable[str], where: str) -> bytes:
    """Return the key of the body, unwrapped by one of the identities (`AGE-SECRET-KEY-1…`).

    Raises:
        VaultRefused: no identity fits, or the header was tampered with; `where` is named.
    """
    for identity in identities:
        secret = X25519PrivateKey.from_private_bytes(_bech32(identity, _SECRET_PREFIX))
        for words, body in header.stanzas:
            key = _unwrapped(secret, words, body)
            if key is None:
                continue
            if not hmac.compare_digest(_mac(key, header.proved), header.mac):
                raise VaultRefused(f"{where} is damaged: its age header was tampered with")
            return key
    raise VaultRefused(
        f"{where} cannot be decrypted: no identity of the vault fits",
        next_command="check `identity` of the vault: it must belong to one of the recipients",
    )


def header_for(key: bytes, recipient: str) -> bytes:
    """Return a header by which the owner of `recipient` (`age1…`) opens the body."""
    theirs = _bech32(recipient, _PUBLIC_PREFIX)
    ephemeral = X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(theirs))
    body = ChaCha20Poly1305(_wrapping(shared, share, theirs)).encrypt(_NO_NONCE, key, None)
    stanza = b"-> X25519 %s\n%s\n" % (_base64(share), _base64(body))
    proved = _FIRST + stanza + b"---"
    return proved + b" " + _base64(_mac(key, proved)) + b"\n"


def _unwrapped(secret: X25519PrivateKey, words: tuple[str, ...], body: bytes) -> bytes | None:
    """Return the body's key, or None where this part is for somebody else."""
    if len(words) != 2 or words[0] != "X25519":  # noqa: PLR2004 - the word and the share
        return None
    share = _unpadded(words[1].encode())
    ours = secret.public_key().public_bytes_raw()
    try:
        shared = secret.exchange(X25519PublicKey.from_public_bytes(share))
        return ChaCha20Poly1305(_wrapping(shared, share, ours)).decrypt(_NO_NONCE, body, None)
    except (InvalidTag, ValueError):
        return None


def _wrapping(shared: bytes, share: bytes, recipient: bytes) -> bytes:
    return _derived(shared, share + recipient, b"age-encryption.org/v1/X25519")


def _mac(key: bytes, proved: bytes) -> bytes:
    return hmac.new(_derived(key, b"", b"header"), proved, hashlib.sha256).digest()


def _derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(secret)


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _unpadded(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def _bech32(text: str, prefix: str) -> bytes:
    """Return the 32 bytes that a key's text stands for. Raises ValueError for anything else."""
    told, _, data = text.lower().rpartition("1")
    values = [_BECH32.index(letter) for letter in data]
    if told != prefix or _polymod([*_expanded(prefix), *values]) != 1:
        msg = f"this is no key that begins with {prefix}1"
        raise ValueError(msg)
    bits = "".join(f"{value:05b}" for value in values[:-6])
    return int(bits[:256], 2).to_bytes(32)


def _expanded(prefix: str) -> list[int]:
    return [ord(one) >> 5 for one in prefix] + [0] + [ord(one) & 31 for one in prefix]


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            check ^= generator if top >> place & 1 else 0
    return check
