"""Identifiers that sort by time and are safe in paths, URLs and shell words."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def run_id(now: datetime) -> str:
    """Return a new run identifier, such as `20261122T053107-3f9a1c` (UTC, sortable)."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def token() -> str:
    """Return 128 bits of fresh randomness as 32 hexadecimal digits."""
    return secrets.token_hex(16)
