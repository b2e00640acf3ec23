"""What came of an act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What an act came to."""

    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    changed: bool = True
    """False where there turned out to be nothing to do."""
